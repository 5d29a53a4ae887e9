"""What costs look like to people."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PlainSerializer

# money is text: a float would invent digits
Usd = Annotated[Decimal, PlainSerializer(lambda value: f"{value:.6f}", return_type=str, when_used="json")]
Share = Annotated[Decimal, PlainSerializer(lambda value: f"{value:.4f}", return_type=str, when_used="json")]


class CostView(BaseModel):
    """One service's cost of one model this month."""

    service: str
    tenant: str
    model: str | None = Field(description="None: the tenant as a whole")
    usd: Usd


class BudgetView(BaseModel):
    """A tenant's month so far."""

    tenant: str
    spent: Usd
    budget: Usd | None
    share: Share | None = Field(description="of the budget; 0.8, 0.9 and 1 alert")


class CostReport(BaseModel):
    """This month so far, for the tenants the caller may ask about."""

    month: date
    currency: str
    source: Literal["bill", "meter", "none"] = Field(
        description="bill: AWS Cost Explorer; meter: measured use at list prices; none: nothing was read yet"
    )
    read_at: datetime | None
    total: Usd
    by_service: dict[str, Usd]
    items: list[CostView]
    budgets: list[BudgetView]
