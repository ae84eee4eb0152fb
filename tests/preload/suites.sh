#!/bin/bash
# CPython's tests of sockets on virtual addresses, beside the same on the kernel's loopback: every test must
# have the same outcome, except those that are listed below with their reason. Takes minutes: only with
# ZT_TEST_ALL, or with the modules named.
#
#   suites.sh BUILD [MODULE...]
build=$(readlink -f "$1")
shift
modules=${*:-test.test_socket test.test_asyncio.test_sock_lowlevel test.test_asyncio.test_streams
    test.test_asyncio.test_server test.test_httplib test.test_ftplib test.test_socketserver
    test.test_selectors test.test_poplib test.test_smtplib}
[ $# -gt 0 ] || [ -n "${ZT_TEST_ALL-}" ] || { echo 'skipped: only with ZT_TEST_ALL'; exit 77; }
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
python=
for p in python3 /usr/bin/python3; do
    "$p" -c 'import test.test_socket' 2> /dev/null && python=$("$p" -c 'import sys; print(sys.executable)') && break
done
[ -n "$python" ] || { echo 'skipped: no python with its test suite (libpython3.*-testsuite)'; exit 77; }

# pattern of ids, and why they differ
known() {
    grep -v '^#' "$here/suites.known"
}
lab_begin
lab_up
for m in $modules; do
    timeout 290 "$python" "$here/suite.py" 127.0.0.1 ::1 "$m" > kernel.out 2> kernel.err < /dev/null
    in_home a timeout 290 "$python" "$here/suite.py" "$a4" "$a6" "$m" > virtual.out 2> virtual.err < /dev/null
    counts() { awk '{ n[$1]++ } END { printf "%d passed, %d failed, %d skipped, %d hang", n["ok"], n["failed"], n["skipped"], n["hangs"] }' "$1"; }
    echo "$m: kernel $(counts kernel.out); virtual $(counts virtual.out)"
    sed -nE '/^(ok|failed|skipped|hangs) /p' kernel.out > kernel.tests # the tests print, too
    sed -nE '/^(ok|failed|skipped|hangs) /p' virtual.out > virtual.tests
    diff kernel.tests virtual.tests | sed -n 's/^[<>] [a-z]* //p' | sort -u > differ
    known | cut -f1 > patterns
    grep -vxE -f patterns differ > surprise
    agrees() { [ -s virtual.tests ] && [ ! -s surprise ] || { cat surprise; grep -A12 -F -f surprise virtual.err | tail -n 40; tail -n 5 virtual.err; return 1; }; }
    check "$m" agrees
done
verdict
