"""What ``up`` will do: a graph of steps from what should be and what is. Pure.

A plan consists of stages. The first repairs what does not serve and adds what is new; each later
one replaces a turn (see ``turns``). A stage is planned on the predicted result of the one before,
and starts when that has ended. So a stage does not depend on how the lab got into its state, and
any change to any lab in any state is planned the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from labctl.planning import fixed
from labctl.planning.condition import Condition
from labctl.planning.desired import Desired
from labctl.planning.foresee import after
from labctl.planning.stage import stage_steps
from labctl.planning.steps import Observed, Plan, Step
from labctl.planning.turns import NOTHING, next_turn


def make_plan(desired: Desired, observed: Observed) -> Plan:
    """The steps that turn what is into what should be; empty when nothing is to be done.

    InputError for what cannot be changed in a lab that is there.
    """
    fixed.check(desired, observed)
    steps: dict[str, Step] = {}
    for stage in _stages(desired, observed):
        last = _ends(steps)
        steps |= {s.id: s if s.needs or not last else replace(s, needs=last) for s in stage}
    return Plan(steps)


def _stages(desired: Desired, observed: Observed) -> Iterator[Collection[Step]]:
    """The steps of each stage, in order; ids are unique among all stages."""
    number, fruitless = 0, frozenset[str]()
    condition = Condition(desired, observed)
    turn = next_turn(condition) if condition.rewired else NOTHING
    while True:
        made = stage_steps(condition, turn)
        if made.steps:
            steps = in_order(_numbered(_known_needs(made.steps), number).values()).values()
            yield steps
            if made.complete and not (turn.containers or next_turn(condition).containers):
                return  # the usual case, a new lab: nothing to look ahead for
            observed = after(desired, observed, steps)
            condition = Condition(desired, observed)
            number, fruitless = number + 1, frozenset()
        else:
            # It needs something that is possible only after another turn.
            fruitless |= turn.containers
        turn = next_turn(condition, but=fruitless)
        done = not turn.containers and (made.complete or not made.steps)
        if fruitless and (done or turn.containers <= fruitless):
            raise RuntimeError(f"turns change nothing: {', '.join(sorted(fruitless))}")
        if done:
            return


def _known_needs(steps: Mapping[str, Step]) -> dict[str, Step]:
    """Without needs that are satisfied already: those for which there is no step."""
    known = {name: step.needs & steps.keys() for name, step in steps.items()}
    return {
        name: step if len(known[name]) == len(step.needs) else replace(step, needs=known[name])
        for name, step in steps.items()
    }


def _numbered(steps: Mapping[str, Step], number: int) -> dict[str, Step]:
    """With ids that name the stage; those of the first stage are unchanged."""
    if not number:
        return dict(steps)
    mark = f"#{number}"
    return {
        name + mark: replace(step, id=name + mark, needs=frozenset(n + mark for n in step.needs))
        for name, step in steps.items()
    }


def _ends(steps: Mapping[str, Step]) -> frozenset[str]:
    """The steps that no other waits for."""
    return frozenset(steps.keys() - {need for step in steps.values() for need in step.needs})


def in_order(steps: Iterable[Step]) -> dict[str, Step]:
    """The steps by id, each after those that it needs; the same for the same steps.

    RuntimeError, which names them, when some wait for each other: a defect in the planner.
    """
    by_id = {step.id: step for step in steps}
    sorter = TopologicalSorter({name: sorted(step.needs) for name, step in by_id.items()})
    try:
        return {name: by_id[name] for name in sorter.static_order()}
    except CycleError as error:
        # graphlib names each step before the one that waits for it.
        around = " → ".join(reversed(error.args[1]))
        raise RuntimeError(f"steps of the plan wait for each other: {around}") from None
