"""Compare settings of a method on held-out images: how the defaults were chosen.

    python scripts/choose_defaults.py coop "lr=0.01 epochs=60" "preset=paper views=1" --shots 1,4 --domain Food

Fits every setting and scores it on the train and val images that are not in the few-shot draw. OOP images decide; IP
images are reported too; a method that needs IP images has seen those of the train part. Prints one line per setting and
number of shots: accuracies in percent, averaged over domains and seeds, and CPU seconds of fit and scores.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from dataclasses import replace

import torch

from harness.errors import FixedVocabulary
from harness.execution.one_thread import one_thread_per_operation
from harness.progress import NullReporter
from harness.registry import find
from harness.runner.best_columns import CHUNK
from harness.runner.chosen_method import ChosenMethod, facts_of, make_method
from harness.runner.feature_provider import provider_of
from harness.runner.pack_images import ImagePacker
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from harness.runner.task_input import named_task
from harness.types.vocabulary import Vocabulary


def held_out(provider, packer, domain, side, job):
    """A side's train and val images that are not in the draw, with what the method declares, and their labels."""
    splits = getattr(provider.domains[domain], side)
    drawn = {pick.path for pick in job.manifest.picks} if side == "oop" else set()
    rest = [
        replace(split, items=items)
        for split in (splits["train"], splits["val"])
        if (items := tuple(item for item in split.items if item.path not in drawn))
    ]
    parts = [provider.features(domain, split) for split in rest]
    label = torch.cat([part.label for part in parts])
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(0))  # which a stream depends on
    images = packer.pool(parts, order.numpy(), job.method.test_views).images(provider.backbone)
    return images, label[order]


@torch.no_grad()
def accuracy(method, images, label, vocabulary):
    parts = (method.encode(images[rows]) for rows in images.batches(1 if method.needs.stream else CHUNK))
    best = torch.cat([method.scores(part, vocabulary).argmax(dim=1) for part in parts])
    return float((best == label).float().mean())


def measure(name, setting, shots, plan, provider):
    """Mean (OOP, IP, joint OOP, joint IP, seconds) of a setting over the cells with that number of shots."""
    values = dict(word.split("=") for word in setting.split())
    rows = []
    for job in plan.jobs:
        if job.spec.shots != shots or job.manifest is None:
            continue
        domain, data = job.spec.domain, provider.domains[job.spec.domain]
        choice = MethodChoice(name, values.get("preset"), {k: v for k, v in values.items() if k != "preset"})
        facts = facts_of(choice, None, None)
        chosen = ChosenMethod.of(choice, facts, find("method", name).origin)
        provider.backbone.text.clear_cache()
        job = replace(job, method=chosen, texts=next((one.texts for one in plan.jobs if one.texts), {}))
        packer = ImagePacker(job, provider, None)
        task = named_task(job, plan.protocol.template, provider, packer)[0].task(provider.backbone)
        images = {side: held_out(provider, packer, domain, side, job) for side in ("oop", "ip")}
        begin = time.process_time()
        method = make_method(choice).fit(task)
        names = {side: getattr(data, side)["test"].names for side in ("oop", "ip")}
        joint = Vocabulary.of(data.noun, **names)
        row = [accuracy(method, *images["oop"], Vocabulary.of(data.noun, oop=names["oop"]))]
        with suppress(FixedVocabulary):
            row.append(accuracy(method, *images["ip"], Vocabulary.of(data.noun, ip=names["ip"])))
            row.append(accuracy(method, *images["oop"], joint))
            row.append(accuracy(method, images["ip"][0], images["ip"][1] + len(names["oop"]), joint))
        rows.append([*row, time.process_time() - begin])
    return torch.tensor(rows).mean(dim=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("setting", nargs="*", default=[""])
    parser.add_argument("--shots", default="1,4")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--domain", default="")
    given = parser.parse_args()
    shots, seeds = ([int(n) for n in text.split(",")] for text in (given.shots, given.seeds))
    domains = tuple(given.domain.split(",")) if given.domain else None
    # The draw is the same for every method that needs support, and so are the sentences: FSNL and CuPL are two.
    request = Request((MethodChoice("fsnl"), MethodChoice("cupl")), domains, tuple(shots), tuple(seeds), device="cpu")
    plan = make_plan(request, NullReporter())
    provider = provider_of(plan, request.workers)
    print(f"{'shots':>5}   {'OOP':>5} {'IP':>5}  {'joint OOP':>9} {'IP':>5} {'seconds':>8}")
    for setting in given.setting or [""]:
        for count in shots:
            *row, seconds = measure(given.method, setting, count, plan, provider)
            row = [f"{100 * value:5.1f}" for value in row] + ["    -"] * (4 - len(row))
            print(
                f"{count:5}   {row[0]} {row[1]}  {row[2]:>9} {row[3]} {seconds:8.2f}   {setting or 'defaults'}",
                flush=True,
            )


if __name__ == "__main__":
    with one_thread_per_operation(torch.device("cpu")):
        main()
