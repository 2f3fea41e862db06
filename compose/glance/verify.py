"""Glance's step: the guest's three images go up, and come back as they were."""

import hashlib
from pathlib import Path

GUEST = Path("/usr/share/labctl/guest")
CHUNK = 1 << 20


def pieces(path):
    """A file piece by piece: an upload whose length nobody knows before, so in chunks."""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def upload(ctx, name, disk_format, container_format, **properties):
    """An image made of a file of the guest; the image as Glance describes it when it is active."""
    body = {
        "name": ctx.name(name),
        "disk_format": disk_format,
        "container_format": container_format,
        **properties,
    }
    path = f"/v2/images/{ctx.make('image', '/v2/images', body)['id']}"
    ctx.request(
        "image",
        "PUT",
        f"{path}/file",
        data=pieces(GUEST / name),
        headers={"Content-Type": "application/octet-stream"},
        timeout=90,
    )
    image = ctx.request("image", "GET", path).json()
    assert image["status"] == "active", f"image {image['id']} is {image['status']} after its upload"
    with (GUEST / name).open("rb") as file:
        wanted = hashlib.file_digest(file, image["os_hash_algo"]).hexdigest()
    assert image["os_hash_value"] == wanted, f"Glance's hash of {name} is not the file's"
    return image


def run(ctx):
    """Upload kernel, ramdisk and disk; read the kernel back."""
    kernel = upload(ctx, "vmlinuz", "aki", "aki")
    ramdisk = upload(ctx, "initrd", "ari", "ari")
    disk = upload(
        ctx,
        "disk",
        "raw",
        "bare",
        kernel_id=kernel["id"],
        ramdisk_id=ramdisk["id"],
        os_command_line="console=ttyS0",
    )
    size = sum(image["size"] for image in (kernel, ramdisk, disk))
    ctx.say(f"image {disk['id']} with its kernel and ramdisk: {size} bytes, hashes as computed")
    answer = ctx.request("image", "GET", f"/v2/images/{kernel['id']}/file", timeout=60)
    found = hashlib.new(kernel["os_hash_algo"], answer.content).hexdigest()
    assert found == kernel["os_hash_value"], "the kernel that comes back is another one"
    stores = "Swift" if ctx.has("swift-proxy") else "a volume of the lab"
    ctx.say(f"read back: {len(answer.content)} bytes from {stores}, the same")
    ctx.state["image"] = disk["id"]
