"""Discovery at the real sizes: 113 classes, 512 dimensions, 20,000 images, unbalanced, 10 % outliers."""

from __future__ import annotations

import resource

import torch
import torch.nn.functional as F

from harness_plugins._clusters import kmeans
from harness_plugins._matched import matched

CLASSES, WIDTH, IMAGES, OUTLIERS = 113, 512, 20_000, 0.1


def world():
    """Features ``(n, d)`` and three wordings ``(3, k, d)`` of the names; class sizes fall like 1 / rank."""
    generator = torch.Generator().manual_seed(0)
    centre = F.normalize(torch.randn(CLASSES, WIDTH, generator=generator), dim=1)
    label = torch.multinomial(1 / (10 + torch.arange(CLASSES)), IMAGES, replacement=True, generator=generator)
    noise = torch.randn(IMAGES, WIDTH, generator=generator) / WIDTH**0.5
    far = torch.rand(IMAGES, 1, generator=generator) < OUTLIERS
    image = F.normalize(torch.where(far, noise, centre[label] + noise), dim=1)
    text = centre + 2 * torch.randn(3, CLASSES, WIDTH, generator=generator) / WIDTH**0.5
    return image, F.normalize(text, dim=2), label


def test_clusters_and_matching_of_a_stress_set(benchmark):
    image, texts, label = world()

    def run():
        cluster = kmeans(image, CLASSES, 2, torch.Generator().manual_seed(0))
        return matched(image, cluster, CLASSES, texts, 100.0)

    found = benchmark.pedantic(run, rounds=1)
    right = float((found.votes.argmax(dim=1) == label).float().mean())
    benchmark.extra_info |= {"named": right, "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    assert right > 0.5
