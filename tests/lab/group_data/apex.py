"""The lab's Apex: production's data with the digests, the image and the cloud addresses that the lab serves."""

from dataclasses import replace

from group_data import apex as _production
from tests.lab.inventory import lab as _lab

models = [replace(each, digest=_lab["models"][each.tag]["digest"]) for each in _production.models]

gateway = replace(_production.gateway, image=_lab["image"])

lanes = [replace(each, api_base=_lab["clouds"].get(each.name)) for each in _production.lanes]

__all__ = ["gateway", "lanes", "models"]
