"""How risky a model is, from answers to questions. Pure.

Ten questions, each 0-5: low 0-15, medium 16-30, high 31-50, plus floors no score can go under. Six factors, each 1-5: low
6-12, medium 13-22, high 23-30, are the other profile. docs/governance/risk-classification.md has the tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mlops_platform.policy.definition import RISK_LEVELS, RiskLevel


class Profile(StrEnum):
    """The scheme a score is computed by."""

    TEN_QUESTIONS = "ten-questions"
    SIX_FACTORS = "six-factors"


TEN_QUESTIONS: dict[str, str] = {
    "cost_of_failure": "What does one failure cost? 0 <1K USD, 1 1-10K, 2 10-50K, 3 50-200K, 4 200-500K, 5 >500K",
    "customers_affected": "How many customers are affected? 0 internal, 1 <100, 2 <1K, 3 <10K, 4 <100K, 5 more",
    "data_sensitivity": "What data does it use? 0 public, 1 internal, 2 customer non-PII, 3 PII, 4 PHI/financial, 5 highly regulated",
    "regulation": "What rules apply? 0 none, 1 internal, 2 voluntary standard, 3 SOC2/ISO, 4 GDPR/CCPA/HIPAA, 5 several strict",
    "reversibility": "How is a wrong decision undone? 0 automatically, 1 <1 min, 2 1-10 min, 3 >10 min, 4 needs approvals, 5 never",
    "human_oversight": "Who looks at decisions? 0 every one, 1 uncertain ones, 2 edge cases, 3 spot checks, 4 periodic, 5 nobody",
    "explainability": "Who must understand it? 0 nobody, 1 team, 2 business, 3 customer, 4 regulator, 5 legal/adversarial",
    "reputation": "What happens to our name? 0 nothing .. 5 executive-level damage",
    "legal_exposure": "What legal claims can follow? 0 none .. 5 class action or penalties",
    "security_role": "What is its security role? 0 none, 1 minor, 2 detects, 3 recommends access, 4 grants access, 5 critical",
}
SIX_FACTORS: dict[str, str] = {
    "data_sensitivity": "Data sensitivity, 1-5",
    "decision_impact": "Impact of one decision, 1-5",
    "financial_impact": "Yearly financial impact: 1 <100K USD, 3 100K-1M, 5 >1M",
    "regulatory_scope": "Regulatory scope, 1-5",
    "reversibility": "Difficulty of undoing a decision, 1-5",
    "users_affected": "Users affected: 1 <1K, 3 1K-100K, 5 >100K",
}
QUESTIONS = {Profile.TEN_QUESTIONS: TEN_QUESTIONS, Profile.SIX_FACTORS: SIX_FACTORS}
_RANGE = {Profile.TEN_QUESTIONS: (0, 5), Profile.SIX_FACTORS: (1, 5)}
# the highest score that is still low, and the highest that is still medium
_BANDS = {Profile.TEN_QUESTIONS: (15, 30), Profile.SIX_FACTORS: (12, 22)}

_PII = 3
_PHI_OR_FINANCIAL = 4
_STRICT_REGULATION = 4
_OVER_HALF_A_MILLION = 5


class IncompleteAnswers(ValueError):
    """Questions are unanswered, unknown, or answered outside their range; the message names each."""


@dataclass(frozen=True)
class Assessment:
    """A level, the score behind it, and the sentences that explain it."""

    level: RiskLevel
    score: int
    reasons: tuple[str, ...]


def assess(answers: Mapping[str, int], profile: Profile = Profile.TEN_QUESTIONS) -> Assessment:
    """Return the assessment of complete answers. Raises IncompleteAnswers."""
    _check(answers, profile)
    score = sum(answers.values())
    low, medium = _BANDS[profile]
    level: RiskLevel = "low" if score <= low else "medium" if score <= medium else "high"
    reasons = [f"score {score} is in the {level} band ({profile.value})"]
    for floor, reason in _floors(answers, profile):
        if RISK_LEVELS.index(floor) > RISK_LEVELS.index(level):
            level = floor
        reasons.append(reason)
    return Assessment(level, score, tuple(reasons))


def _floors(answers: Mapping[str, int], profile: Profile) -> list[tuple[RiskLevel, str]]:
    """Floors: personal data is at least medium; health or financial data, strict regulation or over 500K USD is high."""
    found: list[tuple[RiskLevel, str]] = []
    if answers["data_sensitivity"] >= _PHI_OR_FINANCIAL:
        found.append(("high", "health, financial or highly regulated data is at least high"))
    elif answers["data_sensitivity"] >= _PII:
        found.append(("medium", "personal data is at least medium"))
    if answers["regulation" if profile is Profile.TEN_QUESTIONS else "regulatory_scope"] >= _STRICT_REGULATION:
        found.append(("high", "a strictly regulated use is at least high"))
    if answers["cost_of_failure" if profile is Profile.TEN_QUESTIONS else "financial_impact"] >= _OVER_HALF_A_MILLION:
        found.append(("high", "a loss of more than 500K USD is at least high"))
    return found


def _check(answers: Mapping[str, int], profile: Profile) -> None:
    questions = QUESTIONS[profile]
    least, most = _RANGE[profile]
    problems = [f"'{name}' is not answered" for name in questions if name not in answers]
    problems += [f"'{name}' is not a question of this profile" for name in answers if name not in questions]
    problems += [
        f"'{name}' must be {least} to {most}, not {answer}"
        for name, answer in answers.items()
        if name in questions and not least <= answer <= most
    ]
    if problems:
        raise IncompleteAnswers("; ".join(problems))


def declared_level(version_tags: Mapping[str, str], model_tags: Mapping[str, str]) -> tuple[RiskLevel, str | None]:
    """Return the level the tags name, and a warning when they do not name one.

    The version's `risk_level` tag beats the model's; a missing one counts as medium, as does a word that is not a
    level.
    """
    named = version_tags.get("risk_level", model_tags.get("risk_level"))
    if named is None:
        return "medium", "no risk level was declared, so it counts as medium"
    for level in RISK_LEVELS:
        if named.strip().lower() == level:
            return level, None
    return "medium", f"'{named}' is not a risk level (low, medium, high), so it counts as medium"
