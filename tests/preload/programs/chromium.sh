# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# a browser: its network process, many connections, a page with a script and an image
needs_chromium=chromium

web_page() {
    mkdir -p page
    printf '<html><body style="background:#eef"><h1>Seen through the virtual network</h1><p id=p></p><script src=s.js></script></body></html>' > page/index.html
    printf 'fetch("data").then(r => r.arrayBuffer()).then(b => { p.textContent = "fetched " + b.byteLength; });' > page/s.js
    cp small page/data
}
browse() {
    ZT_HOME=$work/b ZT_PRELOAD_START=no LD_PRELOAD=$preload timeout 60 chromium --headless --no-sandbox --disable-gpu \
        --no-proxy-server --disable-dev-shm-usage --user-data-dir="$work/profile" --virtual-time-budget=5000 "$@" "http://$host:8170/"
}
browse_dom() { browse --dump-dom 2> chromium.log | grep -q 'fetched 20000'; }
browse_shot() { browse --screenshot="$work/shot.png" --window-size=640,240 > chromium.log 2>&1 && [ "$(stat -c %s shot.png)" -gt 2000 ]; }
test_chromium() {
    web_page
    serve page a "$python" -u -m http.server --bind "$addr" --directory "$work/page" 8170
    check "the server for chromium $v listens" up a 8170
    check "chromium $v fetches a page, its script and data" browse_dom
    check "chromium $v draws it" browse_shot
    [ -z "${ZT_TEST_SHOTS-}" ] || cp shot.png "$ZT_TEST_SHOTS/chromium-$v.png"
    stop "$server"
}
