#!/usr/bin/env bash
# Everything that was recorded from the local API of three reference nodes (tests/vectors,
# local-api.json), asked of three nodes of ours in the same roles: same status, same type of content,
# same fields with the same types, and the same values where they are not chance.
#
#     R 10.81.0.1 (root, controller,      A 10.81.0.2        B 10.81.0.3
#       joined, not authorised)             member             member, bridge
#          |                                  |                  |
#  --------+---------------- switch ----------+------------------+------
. "$(dirname "$0")/lib.sh"
set -u
command -v curl >/dev/null || skip "no curl"

host R 10.81.0.1/24
host A 10.81.0.2/24
host B 10.81.0.3/24
mkdir -p "$DIR/R" "$DIR/A" "$DIR/B"
"$ZTCTL" identity new -o "$DIR/R" >/dev/null || fail "identity"
"$ZTCTL" planet new --root "$DIR/R/identity.public" 10.81.0.1/9993 -o "$DIR/planet" >/dev/null ||
    fail "planet"
for n in R A B; do cp "$DIR/planet" "$DIR/$n/planet"; done
python3 "$(dirname "$0")/local_api.py" "$DIR" "$ZTD" "$TOP/tests/vectors/local-api.json" ||
    fail "see above"
