"""What is told of tasks that share an adapter: numbers of a step, their summary, and one sentence."""

from graftwork.pipeline.conflicts import numbers_of, summary_of, words_of
from graftwork.pipeline.pages.curves import charts_of


def step(number, cosines, *, ratio=1.0):
    """A row of the metrics with pairs of sources and their cosines; the angle of a cosine is made up."""
    sources = sorted({source for pair in cosines for source in pair})
    told = {
        "tasks": [{"source": s, "loss_nats": 1.0 + s, "num_targets": 3, "grad_norm": 0.5} for s in sources],
        "pairs": [
            {"sources": list(pair), "cosine": cosine, "angle_deg": None if cosine is None else 90 - 90 * cosine}
            for pair, cosine in cosines.items()
        ],
        "norm_ratio": ratio,
    }
    more = {"loss_nats": 1.0, "grad_norm": 1.0, "learning_rate": 1e-3, "max_singular_value": None}
    return {"kind": "step", "step": number, **more, "conflicts": told}


ROWS = [
    step(1, {(0, 1): 0.5, (0, 2): None, (1, 2): -1.0}, ratio=0.5),
    step(2, {(0, 1): -0.5}, ratio=None),
    {"kind": "evaluation", "step": 2},
    step(3, {(0, 1): 0.0}, ratio=1.0),
]
PATHS = ["/data/a.jsonl", "hf:owner/b", "c/a.jsonl"]


def test_the_summary_counts_pairs_in_the_steps_that_have_both():
    told = summary_of(ROWS, PATHS)
    assert (told["num_steps"], told["in_conflict_frac"], told["mean_norm_ratio"]) == (3, 2 / 3, 0.75)
    assert [task["name"] for task in told["tasks"]] == ["a.jsonl", "b", "a.jsonl"]
    first, second, third = told["pairs"]
    assert first == {
        "sources": [0, 1],
        "num_steps": 3,
        "in_conflict_frac": 1 / 3,
        "mean_angle_deg": 90.0,
        "largest_angle_deg": 135.0,
    }
    assert second == {
        "sources": [0, 2],
        "num_steps": 0,
        "in_conflict_frac": None,
        "mean_angle_deg": None,
        "largest_angle_deg": None,
    }
    assert (third["num_steps"], third["mean_angle_deg"]) == (1, 180.0)


def test_a_training_that_did_not_look_has_no_summary():
    assert summary_of([{"kind": "step", "step": 1}, {"kind": "evaluation", "step": 1}], PATHS) == {}


def test_a_person_reads_of_the_worst_pair():
    said = words_of(summary_of(ROWS, PATHS), projects=True)
    assert said == (
        "tasks: in conflict in 67% of 3 steps; mean angle 180 degrees, 180 at most, between b (source 1) and a.jsonl "
        "(source 2); projecting left 0.75 of the gradient's norm on average"
    )
    assert "projecting would leave 0.75" in words_of(summary_of(ROWS, PATHS), projects=False)
    alone = summary_of([step(1, {(0, 1): None}, ratio=None)], PATHS)
    assert words_of(alone, projects=True).startswith("tasks: no step had a gradient of two of them")


def test_trackers_get_each_number_by_name_and_none_that_is_absent():
    assert numbers_of(ROWS[1]["conflicts"]) == {
        "loss_nats_0": 1.0,
        "loss_nats_1": 2.0,
        "grad_norm_0": 0.5,
        "grad_norm_1": 0.5,
        "angle_deg_0_1": 135.0,
    }


def test_the_curve_is_the_largest_angle_of_a_step_with_a_line_at_90_degrees():
    steps = [row for row in ROWS if row["kind"] == "step"]
    chart = charts_of(steps)[-1]
    assert chart.name[0] == "Largest angle between the gradients of two tasks"
    angles, line = chart.lines
    assert len(angles.points) == 3
    assert len({y for _, y in line.points}) == 1
    assert angles.points[2][1] == line.points[0][1]
    without = [{k: v for k, v in row.items() if k != "conflicts"} for row in steps]
    assert all(one.name != chart.name for one in charts_of(without))
