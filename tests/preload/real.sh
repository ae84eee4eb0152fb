#!/bin/bash
# The conformance cases (kernel sockets, then virtual ones; the same must be printed) on a real node.
#
#   real.sh BUILD CONFORM [CASE...]
build=$1 conform=$2
shift 2
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_begin
lab_up
ZT_TEST_HOME=$work/a ZT_TEST_V4=$a4 ZT_TEST_V6=$a6 "$here/run" "$conform" "$preload" - "$@"
