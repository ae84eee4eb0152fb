"""embed_planet.py OUTPUT [PLANET]: a planet file, or none, as a C source (meson option default_planet)."""
import sys

data = open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else b""
with open(sys.argv[1], "w") as out:
    out.write('#include "node/default_planet.h"\n\n')
    out.write("const unsigned char zt_default_planet[] = {%s};\n" % ",".join(map(str, data or b"\0")))
    out.write("const unsigned long zt_default_planet_size = %d;\n" % len(data))
