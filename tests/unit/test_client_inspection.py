# SPDX-License-Identifier: Apache-2.0
"""The answer of ``datasets check`` as text."""

from __future__ import annotations

from client.inspection import inspection_view
from nas.api.v1 import search_service_pb2 as pb


def test_many_sizes_are_summed_up() -> None:
    """Photographs have as many sizes as there are photographs: the commonest are shown, the others counted."""
    found = pb.CheckDatasetResponse(dataset="folder:pets", location="pets", file_count=40, image_count=40, is_ok=True)
    for number in range(8):
        found.sizes.add(class_name="cat", format="PNG", width=60 + number, height=60, image_count=4)
    found.sizes.add(class_name="cat", image_count=3)  # those that the server does not tell apart
    found.sizes.add(class_name="dog", format="JPEG", width=64, height=64, image_count=5)

    lines = inspection_view(found).splitlines()

    assert [
        "cat    PNG      60x60       4",
        "cat    PNG      61x60       4",
        "cat    PNG      62x60       4",
        "cat    others              23",
        "dog    JPEG     64x64       5",
    ] == [line for line in lines if line.startswith(("cat", "dog"))]
