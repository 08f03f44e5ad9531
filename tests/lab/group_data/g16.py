"""The lab's G16: its model has the lab's digest, and its person is called desk."""

from dataclasses import replace

from group_data import g16 as _production
from tests.lab.inventory import lab as _lab

models = [replace(each, digest=_lab["models"][each.tag]["digest"]) for each in _production.models]

brain = replace(_production.brain, user="desk", settings="/home/desk/.config/brain/settings")

__all__ = ["brain", "models"]
