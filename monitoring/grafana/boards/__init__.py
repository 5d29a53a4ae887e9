"""Every dashboard."""

from boards import cost, data, features, governance, internals, overview, security, serving, slo, tenant

BOARDS = (
    overview.BOARD,
    serving.BOARD,
    governance.BOARD,
    features.BOARD,
    data.BOARD,
    cost.BOARD,
    tenant.BOARD,
    security.BOARD,
    slo.BOARD,
    internals.BOARD,
)
