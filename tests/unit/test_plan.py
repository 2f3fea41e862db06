"""What `up` would do, from what should be and what is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.benchmark import planner
from labctl.engine.port import Container
from labctl.errors import InputError
from labctl.model.topology import HostServices
from labctl.planning.desired import Desired
from labctl.planning.plan import in_order, make_plan
from labctl.planning.steps import AwaitReady, Observed, Plan, StartHolder, StartInstance, Step
from tests.golden.test_golden import desired as shipped
from tests.unit.labs import desired, running


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path)


def before(plan: Plan, first: str, then: str) -> bool:
    """Whether ``first`` is sure to be done when ``then`` starts, in whatever stages they are."""
    ids = {name.partition("#")[0]: name for name in plan.steps}
    todo, seen = [ids[then]], set[str]()
    while todo:
        todo += plan.steps[todo.pop()].needs - seen
        seen.update(todo)
    return ids[first] in seen


def titles(plan: Plan) -> set[str]:
    """The steps' ids without their stages."""
    return {name.partition("#")[0] for name in plan.steps}


def without(observed: Observed, *names: str) -> Observed:
    left = {k: v for k, v in observed.containers.items() if k not in names}
    return replace(observed, containers=left)


def status(observed: Observed, name: str, value: str, code: int | None = None) -> Observed:
    there = observed.containers[name]
    changed = replace(there, status=value, exit_code=code)
    return replace(observed, containers={**observed.containers, name: changed})


def test_a_healthy_lab_needs_nothing(wanted: Desired) -> None:
    assert make_plan(wanted, running(wanted)).steps == {}


def test_from_nothing_everything_in_order(wanted: Desired) -> None:
    plan = make_plan(wanted, Observed())
    assert before(plan, "image:node", "link")
    assert before(plan, "link", "network")
    assert before(plan, "network", "holder:c1")
    assert before(plan, "holder:c2", "start:c2/store")
    assert before(plan, "ready:c1/store", "start:c2/store")
    assert before(plan, "ready:c1/store", "job:store/databases")
    assert not before(plan, "start:c2/store", "job:store/databases")
    assert before(plan, "job:store/databases", "job:api/schema")
    assert before(plan, "job:api/schema", "start:c1/api")
    assert before(plan, "ready:store", "start:c3/api")
    assert before(plan, "start:client/toolbox", "ready:c1/store")
    seen: set[str] = set()
    for step in plan.steps.values():
        assert step.needs <= seen
        seen.add(step.id)


def test_only_the_seed_founds_the_cluster(wanted: Desired) -> None:
    plan = make_plan(wanted, Observed())
    founding = [s.id for s in plan.steps.values() if isinstance(s, StartInstance) and s.bootstrap]
    assert founding == ["start:c1/store"]


def test_a_cluster_that_exists_is_never_founded_again(wanted: Desired) -> None:
    observed = running(wanted)
    for node in ("c1", "c2", "c3"):
        observed = status(observed, f"small-{node}-store", "exited", 137)
    observed = replace(observed, members=frozenset({"c2/store"}), ready=frozenset())
    plan = make_plan(wanted, observed)
    starts = [s for s in plan.steps.values() if isinstance(s, StartInstance)]
    assert not any(step.bootstrap for step in starts)
    assert before(plan, "ready:c2/store", "start:c1/store")
    assert before(plan, "ready:c2/store", "start:c3/store")


def test_members_join_in_turn_where_the_service_says_so(tmp_path: Path) -> None:
    wanted = desired(tmp_path, joins="in turn")
    plan = make_plan(wanted, Observed())
    assert before(plan, "ready:c2/store", "start:c3/store")
    dead = running(wanted)
    for node in ("c1", "c3"):
        dead = status(dead, f"small-{node}-store", "exited", 137)
    plan = make_plan(wanted, replace(dead, ready=dead.ready - {"c1/store", "c3/store"}))
    assert before(plan, "ready:c1/store", "start:c3/store")


def test_members_that_all_died_start_together(wanted: Desired) -> None:
    observed = running(wanted)
    for node in ("c1", "c2", "c3"):
        observed = status(observed, f"small-{node}-store", "exited", 137)
    plan = make_plan(wanted, replace(observed, ready=frozenset()))
    assert not before(plan, "ready:c1/store", "start:c2/store")


def test_a_dead_container_is_started_and_awaited_and_nothing_else(wanted: Desired) -> None:
    observed = status(running(wanted), "small-c2-api", "exited", 137)
    plan = make_plan(wanted, observed)
    assert set(plan.steps) == {"start:c2/api", "ready:c2/api", "ready:api"}
    start = plan.steps["start:c2/api"]
    assert isinstance(start, StartInstance)
    assert start.action == "start"


def test_a_paused_container_is_thawed(wanted: Desired) -> None:
    plan = make_plan(wanted, status(running(wanted), "small-c2-api", "paused"))
    start = plan.steps["start:c2/api"]
    assert isinstance(start, StartInstance)
    assert start.action == "unpause"


def test_a_member_that_its_cluster_left_out_is_restarted(wanted: Desired) -> None:
    plan = make_plan(wanted, replace(running(wanted), stranded=frozenset({"c3/store"})))
    assert set(plan.steps) == {"start:c3/store", "ready:c3/store", "ready:store"}
    start = plan.steps["start:c3/store"]
    assert isinstance(start, StartInstance)
    assert (start.action, start.title) == ("restart", "restart c3/store")


def test_half_made_is_made_again(wanted: Desired) -> None:
    plan = make_plan(wanted, status(running(wanted), "small-c2-api", "created"))
    assert before(plan, "remove:small-c2-api", "start:c2/api")


def test_a_changed_setting_recreates_just_that_one_at_a_time(
    wanted: Desired, tmp_path: Path
) -> None:
    plan = make_plan(desired(tmp_path, size=5), running(wanted))
    assert {name for name in titles(plan) if name.startswith("remove:")} == {
        "remove:small-c1-store",
        "remove:small-c2-store",
        "remove:small-c3-store",
    }
    assert before(plan, "ready:c1/store", "start:c2/store")
    assert before(plan, "ready:c2/store", "start:c3/store")
    assert before(plan, "ready:c1/store", "remove:small-c2-store")
    assert "start:c1/api" not in titles(plan)


def test_a_holder_that_was_started_anew_takes_its_tenants_along(wanted: Desired) -> None:
    observed = status(running(wanted), "small-c2", "exited", 0)
    plan = make_plan(wanted, observed)
    holder = plan.steps["holder:c2"]
    assert isinstance(holder, StartHolder)
    assert holder.action == "start"
    # They run still, in a namespace that is gone.
    assert before(plan, "remove:small-c2-store", "holder:c2")
    assert before(plan, "holder:c2", "start:c2/store")
    assert "start:c1/store" not in plan.steps


def test_a_node_without_power_is_started_not_recreated(wanted: Desired) -> None:
    observed = running(wanted)
    for name in ("small-c2", "small-c2-store", "small-c2-api"):
        observed = status(observed, name, "exited", 137)
    plan = make_plan(wanted, observed)
    assert not any(name.startswith("remove:") for name in plan.steps)
    assert before(plan, "holder:c2", "start:c2/api")


def test_a_lost_link_rebuilds_network_and_nodes(wanted: Desired) -> None:
    plan = make_plan(wanted, replace(running(wanted), link=False))
    assert before(plan, "remove:small-c1", "network")
    assert before(plan, "network", "holder:c1")
    assert before(plan, "remove:small-c1-store", "holder:c1")
    assert before(plan, "holder:c1", "start:c1/store")


@pytest.mark.parametrize("wants", ["blocked", "reachable"])
def test_a_filter_that_is_not_as_wanted_is_set_and_nothing_else(
    wanted: Desired, wants: HostServices
) -> None:
    """As in labs that were made without one, or where somebody flushed the host's rules."""
    lab = replace(wanted.lab, host_services=wants)
    here = replace(wanted, lab=lab)
    right = replace(running(here), filtered=wants == "blocked")
    assert make_plan(here, right).steps == {}
    plan = make_plan(here, replace(right, filtered=not right.filtered))
    assert [step.title for step in plan.steps.values()] == ["set the filter of the lab's link"]


def test_disks_come_before_whoever_is_on_them(tmp_path: Path) -> None:
    plan = make_plan(desired(tmp_path, disk="256M"), Observed())
    assert before(plan, "image:node", "disk:c2/store")
    assert before(plan, "disk:c2/store", "start:c2/store")
    assert plan.steps["disk:c2/store"].title == "create the disk of c2/store"
    assert "disk:c1/api" not in plan.steps


def test_a_disk_that_runs_stays_and_one_that_ended_is_started(tmp_path: Path) -> None:
    wanted = desired(tmp_path, disk="256M")
    assert make_plan(wanted, running(wanted)).steps == {}
    # Another version of labctl made it: its data are more than its image.
    old = running(wanted)
    disk = old.containers["small-c1-store-disk"]
    changed = replace(disk, labels={**disk.labels, "labctl.hash": "x"})
    old = replace(old, containers={**old.containers, disk.name: changed})
    assert make_plan(wanted, old).steps == {}
    ended = replace(disk, status="exited", exit_code=0)
    observed = replace(old, containers={**old.containers, disk.name: ended})
    assert set(make_plan(wanted, observed).steps) == {"disk:c1/store"}


@pytest.mark.parametrize("size", [512, "16M", "much", True, "0M"])
def test_a_disk_has_a_size(tmp_path: Path, size: object) -> None:
    with pytest.raises(InputError) as caught:
        desired(tmp_path, disk=size)
    assert str(caught.value).endswith(
        f"services.store.disk: is {size!r}, should be a size such as 256M, of at least 64M"
    )


@pytest.mark.parametrize(
    ("has", "wanted", "said"),
    [
        (None, "256M", "no size of its own in lab 'small' and should have 256 MiB"),
        ("256M", None, "256 MiB in lab 'small' and should have no size of its own"),
        ("256M", "1G", "256 MiB in lab 'small' and should have 1024 MiB"),
    ],
)
def test_a_disk_keeps_its_size(
    tmp_path: Path, has: str | None, wanted: str | None, said: str
) -> None:
    observed = running(desired(tmp_path, disk=has))
    with pytest.raises(InputError) as caught:
        make_plan(desired(tmp_path, disk=wanted), observed)
    assert str(caught.value) == (
        f"the disk of c1/store has {said}: it is made with the lab's data, so take the lab down "
        "first, with `labctl down --lab small`"
    )


def test_what_is_no_part_of_the_lab_goes(wanted: Desired) -> None:
    observed = running(wanted)
    extra = Container("id", "small-c9-old", "image", "running", {"labctl.lab": "small"})
    observed = replace(observed, containers={**observed.containers, extra.name: extra})
    assert set(make_plan(wanted, observed).steps) == {"remove:small-c9-old"}


def test_a_job_that_failed_or_changed_runs_again(wanted: Desired) -> None:
    again = {"remove:small-c1-store-databases", "job:store/databases"}
    well = running(wanted)
    failed = {name: digest for name, digest in well.done.items() if name != "store/databases"}
    assert set(make_plan(wanted, replace(well, done=failed)).steps) == again
    changed = {**well.done, "store/databases": "before"}
    assert set(make_plan(wanted, replace(well, done=changed)).steps) == again


def test_a_finished_job_needs_no_container(wanted: Desired) -> None:
    observed = without(running(wanted), *(job.spec.name for job in wanted.jobs.values()))
    assert make_plan(wanted, observed).steps == {}


def test_jobs_run_again_when_their_store_is_empty_and_are_forgotten_first(tmp_path: Path) -> None:
    """Also those of other services that worked on it."""
    wanted = desired(tmp_path, disk="256M")
    observed = replace(running(wanted), members=frozenset(), ready=frozenset())
    for name in observed.containers:
        observed = status(observed, name, "exited", 137)
    plan = make_plan(wanted, observed)
    assert plan.steps["forget"].title == "forget that api/schema, store/databases were done"
    assert before(plan, "forget", "disk:c1/store")
    assert before(plan, "forget", "start:c1/store")
    assert before(plan, "job:store/databases", "job:api/schema")
    assert before(plan, "job:api/schema", "start:c2/api")


def test_jobs_are_done_as_long_as_one_member_has_its_data(tmp_path: Path) -> None:
    wanted = desired(tmp_path, disk="256M")
    observed = replace(running(wanted), members=frozenset({"c2/store"}))
    for node in ("c1", "c3"):
        observed = status(observed, f"small-{node}-store", "exited", 137)
        observed = status(observed, f"small-{node}-store-disk", "exited", 137)
    plan = make_plan(wanted, observed)
    assert not any(name.startswith(("job:", "forget")) for name in plan.steps)


def test_a_job_that_still_runs_is_awaited_rather_than_killed(wanted: Desired) -> None:
    observed = status(running(wanted), "small-c1-store-databases", "running")
    done = {name: each for name, each in observed.done.items() if name != "store/databases"}
    plan = make_plan(wanted, replace(observed, done=done))
    assert [step.title for step in plan.steps.values()] == ["await store/databases"]


def test_what_does_not_answer_is_awaited(wanted: Desired) -> None:
    observed = running(wanted)
    plan = make_plan(wanted, replace(observed, ready=observed.ready - {"vip/api"}))
    assert set(plan.steps) == {"ready:api"}
    step = plan.steps["ready:api"]
    assert isinstance(step, AwaitReady)
    assert "vip/api" in step.probes


def test_the_longest_chain_is_the_sum_along_the_dearest_path(wanted: Desired) -> None:
    plan = make_plan(wanted, Observed())
    # image, link, network, node c1; then store on c1, its databases, the schema, api
    assert plan.longest_chain == pytest.approx(30 + 0.3 + 0.1 + 0.3 + 4 * 1.3)


def test_a_missing_image_is_built_before_what_uses_it(wanted: Desired) -> None:
    observed = replace(running(wanted), images=frozenset({"node:1", "database:1", "c:1"}))
    plan = make_plan(wanted, without(observed, "small-c1-api"))
    assert before(plan, "image:controller", "start:c1/api")


def test_nodes_that_change_under_running_clusters_are_no_circle() -> None:
    """What needs what crosses nodes."""
    wanted = shipped("three-controller")
    observed = running(wanted)
    for node in ("c1", "c2", "c3"):
        holder = observed.containers[f"three-controller-{node}"]
        changed = replace(holder, labels={**holder.labels, "labctl.hash": "before"})
        observed = replace(observed, containers={**observed.containers, holder.name: changed})
    seen: set[str] = set()
    for step in make_plan(wanted, observed).steps.values():
        assert step.needs <= seen
        seen.add(step.id)
    assert {"holder:c1#1", "start:c3/sentinel#3"} <= seen


def test_steps_that_wait_for_each_other_are_named() -> None:
    steps = [Step("a", frozenset("b")), Step("b", frozenset("c")), Step("c", frozenset("b"))]
    with pytest.raises(RuntimeError) as raised:
        in_order(steps)
    assert str(raised.value) == "steps of the plan wait for each other: b → c → b"


def test_a_plan_grows_as_its_lab_does() -> None:
    """Twice the nodes are twice the steps and needs: nothing waits for all of everything."""
    found = planner.measure(lambda _: None, (8, 16, 24))
    for first in (0, 3):
        few, some, many = found[first : first + 3]
        for what in ("instances", "steps", "edges"):
            assert many[what] - some[what] == some[what] - few[what]
    rows = [row[0] for row in planner.rows(found)]
    assert rows[0] == "plan 8 nodes (shipped)"
    assert rows[-1] == "plan 24 nodes (dense)"
