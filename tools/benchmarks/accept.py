"""What the preload costs a plain kernel listener: a server on a wildcard address, met over the kernel's
network, without the preload and with it in each of its ways to treat such addresses."""
import os
import subprocess

import figures
import lab
import systems


def run(o, emit):
    lab.enter()
    ground = lab.Lab()
    try:
        kernel, preload = systems.open_all(ground, {}, ["kernel", "preload"])
        ways = {"no preload": None, "kernel": "kernel", "both": "both"}
        port = {}
        for i, (name, way) in enumerate(ways.items()):
            port[name] = 18000 + 100 * i
            argv = [lab.tool("netbench"), "server", str(port[name])]
            if way is not None:
                argv = preload.program("b", *argv)
            log = f"accept-{i}"
            ground.spawn("b", *argv, log=log, env={"BIND": "::", "ZT_PRELOAD_ANY": way or ""},
                         stdin=subprocess.PIPE)
            path = os.path.join(ground.dir, log)
            lab.wait_for(20, f"the server ({name})", lambda: "ready" in open(path).read())
        got = {name: [] for name in ways}
        for _ in range(o.runs):
            for name in ways:
                line = ground.run("ip", "netns", "exec", "a", lab.tool("netbench"), "client",
                                  kernel.address("b"), str(port[name]), "connects", str(o.amount or 3))
                got[name].append(lab.parse("{" + line + "}")["value"])
        for name, values in got.items():
            emit(figures.spread("accept", name, "1/s", values))
    except lab.Failed as e:
        ground.keep = True
        emit({"figure": "accept", "system": "preload", "unit": "1/s", "runs": 0, "error": str(e)})
        return 1
    finally:
        ground.close()
    return 0
