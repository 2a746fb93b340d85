"""Compare methods on IP concepts posed as OOP, by how much their names tell: how ZSNL and FSNL were chosen.

    python -m scripts.pose_ip zero_shot transclip zsnl "zsnl rounds=1"
    python -m scripts.pose_ip zero_shot fsnl "fsnl anchor=0" --shots 4 --level known,opaque --style 0.5 --noise 1
    python -m scripts.pose_ip zero_shot zsnl --data my-data --backbone beyond-mini --pretrained my-weights.safetensors

The true names of IP concepts are known, so no OOP image is scored. Prints the accuracy in percent, a mean over domains
and seeds, with the spread over seeds, the worst domain's lead over the first method, and CPU seconds of a fit.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from harness.execution.one_thread import one_thread_per_operation
from harness.progress import NullReporter
from harness.runner.chosen_method import make_method
from harness.runner.feature_provider import provider_of
from harness.runner.plan import make_plan
from harness.runner.request import MethodChoice, Request
from scripts import posed_worlds


def make(setting):
    """A method from its name and ``parameter=value`` words."""
    name, *words = setting.split()
    return make_method(MethodChoice(name, None, dict(word.split("=") for word in words)))


def measure(setting, level, given, provider):
    """Accuracies ``(seeds, domains)`` in percent."""
    rows = []
    for seed in map(int, given.seeds.split(",")):
        for domain, data in provider.domains.items():
            world = posed_worlds.pose(provider, domain, level, given.style, given.noise, seed)
            task = posed_worlds.task(world, provider.backbone, data.noun, given.shots, seed)
            rows.append(float(posed_worlds.right(make(setting).fit(task), world, data.noun).float().mean()))
    return 100 * torch.tensor(rows).view(-1, len(provider.domains))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setting", nargs="+")
    parser.add_argument("--level", default=",".join(posed_worlds.LEVELS))
    parser.add_argument("--domain", default="")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--style", type=float, default=0.0)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--backbone", default=None)
    parser.add_argument("--pretrained", default=None)
    given = parser.parse_args()
    if unknown := set(given.level.split(",")) - set(posed_worlds.LEVELS):
        parser.error(f"no level {', '.join(sorted(unknown))}: choose from {', '.join(posed_worlds.LEVELS)}")
    domains = tuple(given.domain.split(",")) if given.domain else None
    model = {"backbone": given.backbone, "pretrained": given.pretrained}
    request = Request((MethodChoice("zero_shot"),), domains, (4,), (1,), data=given.data, device="cpu", **model)
    plan = make_plan(request, NullReporter())
    provider = provider_of(plan, request.workers)
    for level in given.level.split(","):
        print(level)
        first = None
        for setting in given.setting:
            begin = time.process_time()
            found = measure(setting, level, given, provider)
            first = found if first is None else first
            lead, seconds = (found - first).mean(dim=0).min(), (time.process_time() - begin) / found.numel()
            spread = f"+- {found.mean(dim=1).std():3.1f}" if len(found) > 1 else ""
            print(f"  {found.mean():5.1f} {spread}   worst {lead:+5.1f}   {seconds:5.2f} s   {setting}", flush=True)


if __name__ == "__main__":
    with one_thread_per_operation(torch.device("cpu")):
        main()
