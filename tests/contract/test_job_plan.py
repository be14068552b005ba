# SPDX-License-Identifier: Apache-2.0
"""``submit`` and ``kubectl apply -k`` start the same Job, from the same files, and the server understands it."""

from __future__ import annotations

from dataclasses import replace

import click
import manifests
import pytest
from manifests import container, one, pod_spec, render
from setting_values import typed

from client.cluster.plan import JobPlan, base, dump
from client.cluster.plan import render as render_plan
from client.commands.submit import command as submit
from client.options import search_options, search_words
from nas.config import search_settings
from nas.settings import Option
from server.commands.run import run

PLAN = JobPlan(name="nas-search", namespace="ml", image="seib-nas", dataset="kau", block="seib")


def by_kind(documents: list[manifests.Document]) -> dict[tuple[str, str], manifests.Document]:
    """Documents by kind and name."""
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def without_namespace(documents: list[manifests.Document]) -> dict[tuple[str, str], manifests.Document]:
    """The same, as kustomize writes them."""
    for document in documents:
        assert "ml" == document["metadata"].pop("namespace")
    return by_kind(documents)


def test_base_is_read_as_kustomize_reads_it() -> None:
    """Resources and labels of the kustomization, and nothing that the client would not understand in it."""
    assert by_kind(render("base")) == by_kind(base())


def test_one_gpu_is_the_gpu_overlay() -> None:
    """Without further wishes ``submit --gpus 1`` is the overlay ``gpu``, but for the image, which is asked for."""
    ours, overlay = without_namespace(render_plan(PLAN)), by_kind(render("overlays/gpu"))
    del overlay["PersistentVolumeClaim", "nas-data"]
    overlay["Job", "nas-search"]["spec"]["template"]["spec"]["containers"][0]["image"] = "seib-nas"
    ours["Job", "nas-search"]["metadata"].pop("annotations")
    for document in (ours["Job", "nas-search"], overlay["Job", "nas-search"]):
        container(document)["args"].sort()

    assert overlay == ours


def test_queue_is_the_kueue_overlay() -> None:
    """The label and the suspension are those of the overlay."""
    ours, overlay = render_plan(replace(PLAN, queue="nas")), one(render("overlays/kueue"), "Job")

    assert overlay["metadata"]["labels"] == ours[-1]["metadata"]["labels"]
    assert overlay["spec"]["suspend"] == ours[-1]["spec"]["suspend"]


@pytest.mark.parametrize(
    "plan", [PLAN, replace(PLAN, gpus=0, data_claim=None), replace(PLAN, gpus=4, queue="nas")], ids=["1", "0", "4"]
)
def test_documents_are_valid(plan: JobPlan) -> None:
    """Kubernetes knows every field of what is sent, and the text holds all of it."""
    documents = render_plan(plan)

    for document in documents:
        manifests.validate(document)
    assert "Job" == documents[-1]["kind"]
    assert len(documents) == dump(documents).count("apiVersion:")
    assert plan.state_claim in dump(documents)


def test_server_understands_every_setting() -> None:
    """Each option of ``submit`` that describes the search is one of ``nas-server run``, with the same words."""
    offered = {each.wire_name for each in search_settings() if each.declaration.option is Option.BOTH}
    words = {name: text for name, text in typed().items() if name in offered - {"dataset", "block"}} | {"device": "cpu"}
    every = {parameter.name for parameter in search_options(click.command(lambda: None)).params}
    given = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
    parsed = submit.make_context("submit", ["--dataset=kau", "--block=seib", "--image=x", *given])

    settings = search_words(parsed.params)
    job = render_plan(replace(PLAN, settings=settings))[-1]
    understood = run.make_context("run", container(job)["args"][1:])

    assert every == {*words, "dataset", "block"}
    assert words.keys() == {name for name in understood.params if name in words and understood.params[name] is not None}
    assert {"kau", "seib"} == {understood.params["dataset"], understood.params["block"]}
    assert "cpu" == understood.params["device"]


def test_gpus_have_a_worker_each() -> None:
    """Several GPUs train several children at a time; without one the tolerations and the limit are gone."""
    many = render_plan(replace(PLAN, gpus=4))[-1]
    none = render_plan(replace(PLAN, gpus=0))[-1]

    assert "--workers=4" in container(many)["args"]
    assert 4 == container(many)["resources"]["limits"]["nvidia.com/gpu"]
    assert "--device=cpu" in container(none)["args"]
    assert not {"tolerations"} & pod_spec(none).keys()


@pytest.mark.parametrize(
    "words",
    [
        ["--image=a b"],
        ["--image=x", "--name=Upper"],
        ["--image=x", "--name=a.b"],
        ["--image=x", "--memory=lots"],
        ["--image=x", "--gpus=-1"],
        ["--image=x", "--queue=a b"],
        ["--image=x", "--namespace=a_b"],
        [],
    ],
)
def test_what_no_cluster_would_take_is_refused_here(words: list[str]) -> None:
    """A wrong name or quantity is a usage error before anything is sent."""
    with pytest.raises(click.UsageError):
        submit.make_context("submit", ["--dataset=kau", "--block=seib", *words])
