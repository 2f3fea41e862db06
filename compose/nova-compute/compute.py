"""nova-compute, with what wants privileges done in its own process.

oslo.privsep would start a second Python under sudo for it, as large as the first. Guests, taps and
their files are libvirt's work here, under the same user as this process: nothing of it is needed.
"""

import sys

import nova.cmd.compute
import nova.privsep
import nova.virt.libvirt.driver
import os_brick.privileged
import vif_plug_ovs.privsep

for context in (
    nova.privsep.sys_admin_pctxt,
    os_brick.privileged.default,
    vif_plug_ovs.privsep.vif_plug,
):
    context.set_client_mode(False)


def console_output(driver, _context, instance):
    """What a guest has written to its console.

    Nova looks for the guest's terminal first, which is in libvirt's container and not in this one;
    QEMU writes everything into the log as well.
    """
    return driver._get_console_output_file(instance, driver._get_console_log_path(instance))


nova.virt.libvirt.driver.LibvirtDriver.get_console_output = console_output


if __name__ == "__main__":
    # Nova takes the service's name from the program's.
    sys.argv[0] = "nova-compute"
    sys.exit(nova.cmd.compute.main())
