# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_php='php curl'

php_get() { rm -f got && curl_ -f -o got "http://$host:8140/data" && cmp data got; }
php_out() { # php as a client
    rm -f got
    b php -r 'copy($argv[1], "got") or exit(1);' "http://$host:8140/data" && cmp data got
}
test_php() {
    serve php a php -S "$host:8140" -t "$work"
    check "php $v listens" up a 8140
    check "php $v GET $mib MiB" php_get
    PHP_CLI_SERVER_WORKERS=4 check "php $v as a client" php_out
    stop "$server"
}
