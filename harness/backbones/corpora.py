"""The pre-training corpus of published weights."""

from __future__ import annotations

import re

UNKNOWN = "unknown"

_TAGS = {
    "LAION-400M": "laion400m_e31 laion400m_e32 laion400m_s11b_b41k laion400m_s13b_b51k",
    "LAION-2B": (
        "laion2b laion2b_e16 laion2b_s4b_b115k laion2b_s9b_b144k laion2b_s12b_b32k laion2b_s12b_b42k laion2b_s13b_b82k "
        "laion2b_s13b_b82k_augreg laion2b_s13b_b90k laion2b_s26b_b102k_augreg laion2b_s29b_b131k_ft "
        "laion2b_s29b_b131k_ft_soup laion2b_s32b_b79k laion2b_s32b_b82k laion2b_s34b_b79k laion2b_s34b_b82k_augreg "
        "laion2b_s34b_b82k_augreg_rewind laion2b_s34b_b82k_augreg_soup laion2b_s34b_b88k laion2b_s39b_b160k"
    ),
    "LAION-2B + MSCOCO": "mscoco_finetuned_laion2b_s13b_b90k",
    "LAION-5B": "laion5b_s13b_b90k frozen_laion5b_s13b_b90k",
    "LAION-Aesthetics": "laion_aesthetic_s13b_b82k laion_aesthetic_s13b_b82k_augreg",
    "WIT-400M": "openai",
    "YFCC-15M": "yfcc15m",
    "CC12M": "cc12m",
    "DataComp-1B": "datacomp1b datacomp_xl_s13b_b90k datacomp_s34b_b86k",
    "DataComp-L": "datacomp_l_s1b_b8k",
    "DataComp-M": "datacomp_m_s128m_b4k",
    "DataComp-S": "datacomp_s_s13m_b4k",
    "DataCompDR-1B": "datacompdr datacompdr_lt",
    "CommonPool-XL": "commonpool_xl_s13b_b90k",
    "CommonPool-XL.clip": "commonpool_xl_clip_s13b_b90k",
    "CommonPool-XL.laion": "commonpool_xl_laion_s13b_b90k",
    "CommonPool-L": "commonpool_l_s1b_b8k",
    "CommonPool-L.basic": "commonpool_l_basic_s1b_b8k",
    "CommonPool-L.clip": "commonpool_l_clip_s1b_b8k",
    "CommonPool-L.image": "commonpool_l_image_s1b_b8k",
    "CommonPool-L.laion": "commonpool_l_laion_s1b_b8k",
    "CommonPool-L.text": "commonpool_l_text_s1b_b8k",
    "CommonPool-M": "commonpool_m_s128m_b4k",
    "CommonPool-M.basic": "commonpool_m_basic_s128m_b4k",
    "CommonPool-M.clip": "commonpool_m_clip_s128m_b4k",
    "CommonPool-M.image": "commonpool_m_image_s128m_b4k",
    "CommonPool-M.laion": "commonpool_m_laion_s128m_b4k",
    "CommonPool-M.text": "commonpool_m_text_s128m_b4k",
    "CommonPool-S": "commonpool_s_s13m_b4k",
    "CommonPool-S.basic": "commonpool_s_basic_s13m_b4k",
    "CommonPool-S.clip": "commonpool_s_clip_s13m_b4k",
    "CommonPool-S.image": "commonpool_s_image_s13m_b4k",
    "CommonPool-S.laion": "commonpool_s_laion_s13m_b4k",
    "CommonPool-S.text": "commonpool_s_text_s13m_b4k",
    "MetaCLIP-400M": "metaclip_400m",
    "MetaCLIP-2.5B": "metaclip_fullcc",
    "MetaCLIP with Altogether captions": "metaclip_altogether",
    "MetaCLIP 2 worldwide": "metaclip2_worldwide",
    "DFN-2B": "dfn2b dfn2b_s39b",
    "DFN-5B": "dfn5b",
    "DFNDR-2B": "dfndr2b",
    "WebLI": "webli",
    "Merged-2B": "merged2b_s4b_b131k merged2b_s6b_b61k merged2b_s8b_b131k merged2b_s11b_b114k",
}
"""Corpus -> its tags, for every architecture. The filter of a CommonPool follows a dot, as in DataComp (Gadre et al.,
2023); Merged-2B is LAION-2B with COYO (Sun et al., 2023)."""

_MODELS = {
    **{f"PE-Core-{size}": "Meta's own (PE)" for size in ("T-16-384", "S-16-384", "B-16", "L-14-336", "bigG-14-448")},
    **{f"nllb-clip-{size}": "LAION-COCO (NLLB-CLIP)" for size in ("base", "large")},
    **{f"nllb-clip-{size}-siglip": "WebLI + LAION-COCO (NLLB-CLIP)" for size in ("base", "large")},
}
"""Architecture -> corpus, if tags (``meta``, ``v1``, ``mrl``) do not name one. NLLB-CLIP (Visheratin, 2023) trains its
text tower on captions of LAION COCO in 201 languages, with an existing image tower: SigLIP's was trained on WebLI."""

_PARTS = {
    "ImageNet-1k": "in1k dino mae fcmae",
    "ImageNet-12k": "in12k",
    "ImageNet-21k": "in21k",
    "ImageNet-22k": "in22k",
    "LVD-142M": "lvd142m",
    "LVD-1689M": "lvd1689m",
    "SAT-493M": "sat493m",
    "LAION-400M": "laion400m",
    "LAION-2B": "laion2b",
    "LAION-Aesthetics": "laiona",
    "WIT-400M": "openai",
    "WebLI": "webli",
    "DataComp-1B": "datacomp1b datacompxl",
    "DFN-2B": "dfn2b",
    "DFN-5B": "dfn5b",
    "DFNDR-2B": "dfndr2b",
    "Merged-2B": "merged2b",
    "Merged-30M": "m30m",
    "Merged-38M": "m38m",
    "YFCC-15M": "yfcc15m",
    "YFCC-100M": "yfcc100m",
    "CC12M": "cc12m",
    "JFT-300M": "jft",
    "Instagram-1B": "ig1b",
    "SA-1B": "sa1b",
}
"""Corpus -> the parts of timm's tags that name it. DINO (Caron et al., 2021), MAE (He et al., 2022) and FCMAE (Woo et
al., 2023) were trained on ImageNet-1k; Merged-30M and Merged-38M are EVA's (Fang et al., 2023)."""

_BY_PART = {part: corpus for corpus, parts in _PARTS.items() for part in parts.split()}

_BY_TAG = {tag: corpus for corpus, tags in _TAGS.items() for tag in tags.split()}


def corpus_of(architecture: str, tag: str) -> str:
    """The corpus of published weights; ``unknown`` for weights in neither table."""
    return _MODELS.get(architecture) or _BY_TAG.get(tag, UNKNOWN)


def corpus_of_file(stem: str) -> str:
    """The corpus of a weights file by the tag in its name; ``unknown`` without such a tag.

    Published files are called ``<architecture>-<tag>-<digest>``, so one part must equal a tag. A longer part, such as
    ``laion400m_e32_finetuned``, means further training data.
    """
    found = {_BY_TAG[part] for part in re.split(r"[-.]", stem.lower()) if part in _BY_TAG}
    return found.pop() if len(found) == 1 else UNKNOWN


def corpus_of_encoder(tag: str) -> str:
    """The corpora of weights of timm, in the order of training; ``unknown`` if the tag names none.

    A tag such as ``openai_ft_in12k_in1k`` names several: ``WIT-400M + ImageNet-12k + ImageNet-1k``.
    """
    if tag in _BY_TAG:
        return _BY_TAG[tag]
    return " + ".join(dict.fromkeys(_BY_PART[part] for part in tag.split("_") if part in _BY_PART)) or UNKNOWN
