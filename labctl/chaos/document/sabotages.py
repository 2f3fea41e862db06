"""The sabotage document: a lab with one known-bad setting, and the verdict that must catch it.

Checkers that never failed prove nothing. Each sabotage misconfigures one thing on purpose, and the
run must have the outcome that it names, for the reason that it names.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.model.findings import Outcome
from labctl.model.document import Document, Name
from labctl.model.service import Profile
from labctl.model.topology import ExtensionDoc


class CaughtDoc(Document):
    """The expected verdict."""

    outcome: Annotated[tuple[Outcome, ...], Field(min_length=1)]
    """The outcome is one of these."""
    because: str
    """A word that the verdict's reason, or that of the check which failed, must contain."""


class SabotageDoc(Document):
    """A lab with one known-bad setting, a scenario and the expected verdict."""

    name: Name
    description: str
    """What is wrong with the lab, in one sentence."""
    base: str = "three-controller"
    """The topology that is sabotaged."""
    profile: Profile = "support"
    """The profile that is brought up."""
    settings: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """service → the bad setting. Empty if it is the workload or the fault that is bad."""
    scenario: ScenarioDoc
    must: CaughtDoc

    @property
    def topology(self) -> ExtensionDoc:
        """The lab to bring up."""
        return ExtensionDoc(
            name=self.name,
            description=self.description,
            extends=self.base,
            profile=self.profile,
            services=self.settings,
        )
