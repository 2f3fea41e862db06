"""What a service's document comes to: containers."""

from __future__ import annotations

from pathlib import Path

from tests.unit import labs


def test_a_device_that_a_setting_wants_is_there_only_then(tmp_path: Path, monkeypatch) -> None:
    plain = labs.catalogue

    def with_devices(directory: Path, joins: str = "together") -> dict:
        found = plain(directory, joins)
        wanted = ("/dev/net/tun", "{{ '/dev/kvm' if settings.size > 3 }}")
        container = found["store"].container.model_copy(update={"devices": wanted})
        found["store"] = found["store"].model_copy(update={"container": container})
        return found

    monkeypatch.setattr(labs, "catalogue", with_devices)
    assert labs.desired(tmp_path).instances["c1/store"].spec.devices == ("/dev/net/tun",)
    assert labs.desired(tmp_path, size=5).instances["c1/store"].spec.devices == (
        "/dev/net/tun",
        "/dev/kvm",
    )
