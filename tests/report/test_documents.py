"""The document for programs: its schema describes it wholly and refuses what is wrong."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from onnx_triangulate.records.runs import OUTCOMES, Failure, Model
from onnx_triangulate.records.verdict import BLAMES, STATUSES, LargestDifference
from onnx_triangulate.report.documents import DOCUMENTS, as_json, schema, write_json
from onnx_triangulate.report.serializer import number, to_text

Json = dict[str, Any]
NAMES = [document.name.replace("/", "-") for document in DOCUMENTS.values()]


def validator(document: Json) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(document)


def closed(part: Any) -> Any:
    """A schema that allows no field it does not describe: what this project writes, it documents."""
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: closed(value) for key, value in part.items()}
    if part.get("type") == "object" and isinstance(part.get("properties"), dict):
        made["additionalProperties"] = False
    return made


@pytest.fixture
def document(samples: Any, strictly: Any) -> Json:
    made: Json = strictly(to_text(as_json(samples.everything())))
    return made


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_the_published_schemas_are_what_the_declarations_give() -> None:
    """Where this fails, run scripts/write_schemas.py and look at what changes for readers."""
    assert {document.name for document in DOCUMENTS.values()} == {schema(name)["title"] for name in NAMES}
    for name, document in zip(NAMES, DOCUMENTS.values(), strict=True):
        assert schema(name) == document.schema(), name


def test_every_situation_fits_the_schema_and_nothing_is_undocumented(document: Json) -> None:
    validator(schema()).validate(document)
    validator(closed(schema())).validate(document)
    document["cases"][0]["edges"][0]["surprise"] = 1
    validator(schema()).validate(document)
    assert not validator(closed(schema())).is_valid(document)


def test_the_schema_knows_the_vocabulary_of_the_records() -> None:
    parts = schema()["$defs"]
    assert parts["blame"]["anyOf"][0]["enum"] == list(BLAMES)
    assert parts["edge"]["properties"]["outcome"]["enum"] == list(OUTCOMES)
    assert parts["case"]["properties"]["status"]["enum"] == list(STATUSES)


def test_the_contract_of_the_design_is_in_the_document(document: Json) -> None:
    assert document["schema"] == "triangulate/1"
    assert {"versions", "seed", "exit_status", "cases"} <= set(document)
    case = document["cases"][0]
    keys = "case status blame blames groups parties edges graphs findings"
    assert set(keys.split()) <= set(case)
    assert {"blame", "party", "op", "nodes"} <= set(case["blames"][0])
    edge = "left right isolates outcome compared max_abs ratio index values problem"
    assert set(edge.split()) <= set(case["edges"][0])
    assert set("cause blame party nodes proved says edit".split()) <= set(case["findings"][0])
    graph = case["graphs"]["tensorflow"]
    assert {"file", "opset", "pads", "transposes"} <= set(graph)
    assert graph["pads"][0] | {"note": ""} == {
        "node": "Conv2D",
        "op": "Conv",
        "begin": [0, 0],
        "end": [1, 1],
        "auto_pad": "NOTSET",
        "symmetric": False,
        "note": "",
    }
    assert graph["transposes"][0] == {"node": "transpose_0", "perm": [0, 3, 1, 2], "kind": "NHWC->NCHW"}
    output = case["parties"]["torch>ort.all"]
    assert output["error"] is None
    assert {key: output["outputs"]["y"][key] for key in ("shape", "dtype", "axes")} == {
        "shape": [2, 3, 3, 3],
        "dtype": "float32",
        "axes": "n c h w",
    }


def test_the_worst_element_of_an_edge_survives(document: Json) -> None:
    edge = document["cases"][0]["edges"][0]
    assert (edge["index"], edge["values"], edge["max_abs"]) == ([0, 1, 2, 0], [12.0, 30.0], 18.0)
    assert edge["ratio"] == "inf"


def test_failures_and_absences_are_values(document: Json) -> None:
    case = next(case for case in document["cases"] if case["case"] == "crash/killed")
    assert case["parties"]["torch>ort.off"]["error"]["kind"] == "crashed"
    assert case["parties"]["torch>ort.off"]["outputs"] == {}
    assert case["graphs"]["torch:script"]["error"]["says"] == "aten.unique is not supported"
    assert set(case["graphs"]) == {"torch", "torch:raw", "torch:script", "tensorflow", "tensorflow:nchw"}
    chain = next(case for case in document["cases"] if case["case"] == "autodiff/chain")
    assert chain["parties"]["torch"]["outputs"] == {"grad_h": {"absent": "not a leaf"}}


def test_a_graph_that_is_there_but_invalid_says_both(samples: Any) -> None:
    verdict = samples.agreeing()
    models = {"torch": Model("torch", Path("torch.onnx"), Failure("invalid", "No Op registered for Log1p", "Log1p"))}
    graphs = {"torch": verdict.evidence.graphs["torch"]}
    evidence = dataclasses.replace(verdict.evidence, models=models, graphs=graphs)
    document = as_json(samples.report(dataclasses.replace(verdict, evidence=evidence)))
    validator(schema()).validate(document)
    graph = document["cases"][0]["graphs"]["torch"]
    assert (graph["error"]["op"], graph["opset"]) == ("Log1p", 20)


def test_a_graph_without_facts_does_not_look_like_one_without_pads(samples: Any) -> None:
    verdict = samples.agreeing()
    evidence = dataclasses.replace(verdict.evidence, graphs={})
    document = as_json(samples.report(dataclasses.replace(verdict, evidence=evidence)))
    validator(schema()).validate(document)
    assert document["cases"][0]["graphs"]["torch"]["error"]["kind"] == "tool"
    assert "pads" not in document["cases"][0]["graphs"]["torch"]


def required(document: Json) -> list[tuple[str, str]]:
    parts = {"": document} | {name: part for name, part in document["$defs"].items() if "required" in part}
    return [(name, key) for name, part in parts.items() for key in part["required"]]


PLACES: dict[str, Any] = {
    "": lambda document: document,
    "case": lambda document: document["cases"][0],
    "party": lambda document: document["cases"][0]["parties"]["torch"],
    "edge": lambda document: document["cases"][0]["edges"][0],
    "finding": lambda document: document["cases"][0]["findings"][0],
    "expectation": lambda document: document["cases"][0]["expectations"][0],
    "blamed": lambda document: document["cases"][0]["blames"][0],
    "failure": lambda document: document["cases"][2]["parties"]["torch>ort.off"]["error"],
    "pads": lambda document: document["cases"][0]["graphs"]["tensorflow"]["pads"][0],
    "transpose": lambda document: document["cases"][0]["graphs"]["tensorflow"]["transposes"][0],
    "graph": lambda document: document["cases"][0]["graphs"]["tensorflow"],
    "array": lambda document: document["cases"][0]["parties"]["torch"]["outputs"]["y"],
    "absence": lambda document: document["cases"][3]["parties"]["torch"]["outputs"]["grad_h"],
    "apart": lambda document: document["cases"][1]["apart"],
}


@pytest.fixture
def refused(samples: Any) -> Any:
    """Whether the schema refuses the document (in order of the samples) after a fault was planted in it."""
    near = LargestDifference("torch", "torch>ort.all", "y", 1e-7, 1.0, 6)
    agreeing = dataclasses.replace(samples.agreeing(), largest_difference=near)
    sound = as_json(samples.report(samples.even_input(), agreeing, samples.crashed(), samples.absent_output()))
    check = validator(schema())
    check.validate(sound)

    def after(plant: Any) -> bool:
        broken = copy.deepcopy(sound)
        plant(broken)
        return not check.is_valid(broken)

    return after


def test_a_missing_field_is_refused_wherever_it_is(refused: Any) -> None:
    fields = [*required(schema()), *(("graph", key) for key in ("file", "opset", "pads", "transposes"))]
    assert {name for name, _ in fields} == set(PLACES)
    for name, key in fields:
        assert refused(lambda document, n=name, k=key: PLACES[n](document).pop(k)), f"{name}.{key} may be left out"


@pytest.mark.parametrize(
    ("place", "key", "wrong"),
    [
        ("", "schema", "triangulate/2"),
        ("", "exit_status", 4),
        ("", "seed", None),
        ("case", "status", "passed"),
        ("case", "blame", ["Unknown"]),
        ("case", "blame", ["export", "export"]),
        ("case", "groups", [[]]),
        ("edge", "outcome", "ok"),
        ("edge", "compared", -1),
        ("edge", "compared", True),
        ("edge", "max_abs", -1.0),
        ("edge", "max_abs", "NaN"),
        ("edge", "ratio", "-inf"),
        ("edge", "ratio", math.inf),
        ("edge", "values", [1.0]),
        ("edge", "values", [1.0, "Infinity"]),
        ("edge", "index", [-1]),
        ("edge", "left", None),
        ("failure", "kind", "odd"),
        ("party", "error", "refused"),
        ("party", "outputs", None),
        ("pads", "begin", "0 0"),
        ("pads", "symmetric", "yes"),
        ("transpose", "perm", [0.5]),
        ("finding", "proved", "yes"),
        ("blamed", "blame", "bad luck"),
    ],
)
def test_a_wrong_value_is_refused(refused: Any, place: str, key: str, wrong: Any) -> None:
    assert refused(lambda document: PLACES[place](document).__setitem__(key, wrong))


def test_a_graph_with_neither_facts_nor_error_is_refused(refused: Any) -> None:
    assert refused(lambda document: document["cases"][0]["graphs"].__setitem__("torch", {"error": None}))


def test_a_bare_nan_cannot_be_written(samples: Any, strictly: Any) -> None:
    document = as_json(samples.report(samples.even_input()))
    document["cases"][0]["edges"][0]["max_abs"] = math.nan
    with pytest.raises(ValueError, match="JSON"):
        to_text(document)
    with pytest.raises(ValueError, match="no JSON"):
        strictly(json.dumps(document))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (np.float32("nan"), "nan"),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), 1),
        (None, None),
        (2**62, 2**62),
    ],
)
def test_numbers_json_cannot_hold_are_words(value: Any, written: Any) -> None:
    made = number(value)
    assert made == written
    assert type(made) is type(written)


def test_non_finite_values_of_an_edge_are_written_as_words(samples: Any) -> None:
    apart = samples.edge(
        "torch", "torch>ort.off", "exporter", "diverges", max_abs=math.inf, ratio=math.nan, values=(math.nan, -math.inf)
    )
    verdict = samples.agreeing()
    evidence = dataclasses.replace(verdict.evidence, edges=(apart,))
    document = as_json(samples.report(dataclasses.replace(verdict, evidence=evidence)))
    validator(schema()).validate(document)
    edge = document["cases"][0]["edges"][0]
    assert (edge["max_abs"], edge["ratio"], edge["values"]) == ("inf", "nan", ["nan", "-inf"])


def test_hostile_names_survive_but_the_text_is_harmless(samples: Any, strictly: Any) -> None:
    text = to_text(as_json(samples.report(samples.hostile())))
    assert all(character == "\n" or " " <= character <= "~" for character in text)
    assert "##[" not in text
    assert not any(line.strip().startswith("::") for line in text.splitlines())
    assert strictly(text)["cases"][0]["case"] == samples.hostile_text


def test_the_same_run_gives_the_same_bytes_whatever_time_it_took(samples: Any) -> None:
    slow = dataclasses.replace(samples.everything(), seconds=1e6)
    assert to_text(as_json(slow)) == to_text(as_json(samples.everything()))


def test_what_is_written_is_what_is_returned(samples: Any, strictly: Any, tmp_path: Path, capsys: Any) -> None:
    report = samples.everything()
    write_json(report, tmp_path / "report.json")
    write_json(report, "-")
    assert strictly((tmp_path / "report.json").read_text()) == json.loads(json.dumps(as_json(report)))
    assert capsys.readouterr().out == (tmp_path / "report.json").read_text()
