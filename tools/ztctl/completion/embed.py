"""usage: embed.py OUT NAME FILE...: each file as a C text, for completion.h."""
import json
import sys

out, rest = sys.argv[1], sys.argv[2:]
with open(out, "w") as f:
    for name, path in zip(rest[::2], rest[1::2]):
        lines = "\n    ".join(json.dumps(line, ensure_ascii=True) for line in open(path))
        f.write("static const char completion_%s[] =\n    %s;\n" % (name, lines))
