"""The report and the model card of a run: written at its end, and again in either language, from what lies there."""

import json
from dataclasses import replace

import pytest
from tests.support.evaluated import RESULT

from graftwork.cli.main import called
from graftwork.core.errors import IntegrityError
from graftwork.evaluation.certificate import manifest as manifests
from graftwork.evaluation.certificate.document import certificate
from graftwork.evaluation.result import told
from graftwork.evaluation.verdicts import judged, overall
from graftwork.pipeline.reporting import certified_of, read_result, write_report


def result_and_certificate():
    dimensions = tuple(judged(RESULT.dimensions))
    result = replace(RESULT, dimensions=dimensions, verdicts=overall(dimensions))
    same = {
        "base": "b",
        "evaluated_on": {"accuracy": "e"},
        "template": "t",
        "decoding": {},
        "hardware": {},
        "libraries": {},
        "code": "1",
    }
    own = {"base": {}, "adapter": {"trained_on": "d", "order_seed": 7}, "full": {"trained_on": "d", "order_seed": 7}}
    given = [
        manifests.Manifest(subject=s.name, kind=s.kind, weights=s.digest, **same, **own[s.kind])
        for s in result.subjects
    ]
    return result, certificate(result, given, overlaps={})


def test_a_run_leaves_its_report_and_its_card(finished):
    folder = finished[0] / "run"
    loss = json.loads((folder / "evaluation.json").read_text())["loss"]
    page = (folder / "report.html").read_text("utf-8")
    assert "Evaluation report" in page
    assert f'<data value="{loss["adapter"]["mean"]}">' in page
    assert "A quick look" in page
    card = (folder / "adapter" / "README.md").read_text("utf-8")
    assert card.startswith("---\n")
    assert finished[1]["steps"]["train"]["adapter_digest"] in card


def test_the_same_folder_gives_the_same_report(run_copy):
    before = [(run_copy / name).read_bytes() for name in ("report.html", "adapter/README.md")]
    write_report(run_copy)
    assert [(run_copy / name).read_bytes() for name in ("report.html", "adapter/README.md")] == before


def test_a_report_is_written_again_in_chinese_elsewhere(run_copy, tmp_path, capsys):
    before = (run_copy / "report.html").read_bytes()
    assert called(["report", str(run_copy), "--language", "zh", "--out", str(tmp_path / "out"), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    files = {"report": str(tmp_path / "out/report.html"), "card": str(tmp_path / "out/README.md")}
    assert written == {**files, "certificate": "none"}
    assert '<html lang="zh-Hans">' in (tmp_path / "out/report.html").read_text("utf-8")
    assert "## 训练数据" in (tmp_path / "out/README.md").read_text("utf-8")
    assert (run_copy / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--language", "fr"], "--language = 'fr'"),
        (["nowhere"], "nothing is evaluated there"),
    ],
    ids=["language", "folder"],
)
def test_what_cannot_be_reported_is_refused_in_words(run_copy, words, message, capsys):
    folder = [] if words[0] == "nowhere" else [str(run_copy)]
    assert called(["report", *folder, *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("broken", ["{", "[]", '{"loss": 3}', '{"result": {"subjects": 1}}', '{"loss": {"unit": "x"}}'])
def test_a_broken_evaluation_is_refused_and_the_old_report_stays(run_copy, broken, capsys):
    before = (run_copy / "report.html").read_bytes()
    (run_copy / "evaluation.json").write_text(broken)
    assert called(["report", str(run_copy)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert (run_copy / "report.html").read_bytes() == before


def test_a_result_of_dimensions_is_shown_with_its_certificate(run_copy):
    result, document = result_and_certificate()
    (run_copy / "evaluation.json").write_text(json.dumps({"result": told(result)}))
    (run_copy / "certificate.json").write_text(json.dumps(document))
    assert certified_of(run_copy, result).status == "holds"
    write_report(run_copy)
    page = (run_copy / "report.html").read_text("utf-8")
    assert "All subjects were evaluated on equal terms" in page
    assert document["digest"] in page
    assert "There is no certificate" not in (run_copy / "adapter/README.md").read_text("utf-8")


@pytest.mark.parametrize("spoiled", ["document", "result", "refused"])
def test_a_certificate_that_does_not_hold_is_shown_as_refused(run_copy, spoiled, capsys):
    result, document = result_and_certificate()
    if spoiled == "document":
        document["subjects"][0]["code"] = "2"
    if spoiled == "result":
        value = result.dimensions[0].metrics[0]
        changed = replace(value, values=value.values[:1])
        first = replace(result.dimensions[0], metrics=(changed, *result.dimensions[0].metrics[1:]))
        result = replace(result, dimensions=(first, *result.dimensions[1:]))
    if spoiled == "refused":
        document = {"refused": ["full.libraries.torch = '2.12': expected '2.13.0', as base has it."]}
    (run_copy / "evaluation.json").write_text(json.dumps({"result": told(result)}))
    (run_copy / "certificate.json").write_text(json.dumps(document))
    _, certified = read_result(run_copy)
    assert certified.status == "refused"
    assert certified.reasons
    assert called(["report", str(run_copy)]) == 0
    assert "refused: " in capsys.readouterr().out
    assert "Do not compare their numbers." in (run_copy / "report.html").read_text("utf-8")


def test_what_people_say_in_the_recipe_is_on_the_card_and_trains_nothing_again(finished, run_copy, capsys):
    words = [
        "run",
        str(finished[0] / "tiny.yaml"),
        "--out",
        str(run_copy),
        "--set",
        "card.intended_use=Saying it twice",
    ]
    assert called([*words, "--set", "card.licence=apache-2.0"]) == 0
    assert "train: done already" in capsys.readouterr().err
    card = (run_copy / "adapter" / "README.md").read_text("utf-8")
    assert "> Saying it twice" in card
    assert 'license: "apache-2.0"' in card


def test_a_certificate_that_is_no_object_is_refused(run_copy):
    (run_copy / "certificate.json").write_text("[]")
    with pytest.raises(IntegrityError):
        certified_of(run_copy, RESULT)
