#!/bin/bash
# The conformance cases and the library, both built with ThreadSanitizer: the same output as on the kernel,
# and no report. Only with ZT_TEST_ALL, or with the cases named.
#
#   tsan.sh BUILD FAKEHOST CC [CASE...]
build=$(readlink -f "$1") host=$(readlink -f "$2") cc=$3
shift 3
[ $# -gt 0 ] || [ -n "${ZT_TEST_ALL-}" ] || { echo 'skipped: only with ZT_TEST_ALL'; exit 77; }
# shellcheck source-path=SCRIPTDIR source=lab.sh
. "$(dirname "$(readlink -f "$0")")/lab.sh"
lab_begin
runtime=$("$cc" -print-file-name=libtsan.so)
[[ $runtime == /* ]] || { echo 'skipped: no libtsan'; trap - EXIT; rm -rf "$work"; exit 77; }
flags=(-g -O1 -fsanitize=thread -D_GNU_SOURCE -std=gnu11 -U_FORTIFY_SOURCE -I"$top/include" -I"$top/libzt")
"$cc" "${flags[@]}" -fPIC -shared -fvisibility=hidden -fno-builtin-fclose -o preload.so "$top"/preload/*.c \
    -Wl,--version-script,"$top/preload/export.map" -Wl,-Bsymbolic-functions > cc.log 2>&1 || fail "$(cat cc.log)"
"$cc" "${flags[@]}" -o conform "$here"/conform/*.c > cc.log 2>&1 || fail "$(cat cc.log)"
mkdir home
"$host" -H "$work/home" > host.log 2>&1 &
started+=($!)
wait_for 30 test -S home/control.sock || fail "$(cat host.log)"
export TSAN_OPTIONS='halt_on_error=0 report_signal_unsafe=0 exitcode=66'

same() { # CASE KERNEL-ADDRESS VIRTUAL-ADDRESS
    timeout 100 ./conform "$2" "$1" > kernel.out 2>&1
    ZT_HOME=$work/home ZT_PRELOAD_START=no LD_PRELOAD=$runtime:$work/preload.so \
        timeout 100 ./conform "$3" "$1" > virtual.out 2>&1
    ! grep -A20 'WARNING: ThreadSanitizer' virtual.out && diff kernel.out virtual.out
}
# it has to be able to find something
printf 'int x; static void *f(void *a) { x++; return a; }
#include <pthread.h>
int main(void) { pthread_t t; pthread_create(&t, 0, f, 0); x++; pthread_join(t, 0); return x == 9; }' > race.c
sed -i '1h;1d;2{G}' race.c
"$cc" "${flags[@]}" -o race race.c > cc.log 2>&1 || fail "$(cat cc.log)"
races() { LD_PRELOAD=$runtime:$work/preload.so ./race 2>&1 | grep -q 'data race'; }
check 'a race is reported under the library' races
for case in ${*:-$(./conform -l)}; do
    if [ "$case" = wild ]; then # the sanitizer's own wrappers read the bad pointers
        echo "skipped: $case: bad pointers"
        continue
    fi
    check "$case" same "$case" 127.0.0.1 10.147.17.1
done
verdict
