# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# unbound: UDP and TCP, on its address and on a wildcard
needs_dns='unbound dig'

dns_conf() { # INTERFACE
    mkdir -p dns
    cat > dns/conf <<- END
	server:
	    interface: $1
	    port: 5353
	    access-control: 0.0.0.0/0 allow
	    access-control: ::/0 allow
	    username: ""
	    chroot: ""
	    directory: "$work/dns"
	    pidfile: "$work/dns/pid"
	    use-syslog: no
	    do-daemonize: no
	    module-config: "iterator"
	    num-threads: 2
	    interface-automatic: ${2:-no}
	    local-zone: "test." static
	    local-data: "www.test. A 192.0.2.7"
	    local-data: 'big.test. TXT $(printf '"%0200d" ' 1 2 3 4 5 6 7 8 9)'
	remote-control:
	    control-enable: no
	END
}
ask_dns() { [ "$(b dig +short +tries=3 +time=15 "$@" -p 5353 @"$addr" www.test)" = 192.0.2.7 ]; }
big_dns() { b dig +tries=3 +time=15 +bufsize=512 -p 5353 @"$addr" big.test TXT | grep -q 'flags:.*qr.*; QUERY: 1, ANSWER: 1'; }
test_dns() {
    local where
    for where in "$addr" "${any}"; do
        dns_conf "$where"
        serve dns a unbound -d -c "$work/dns/conf"
        check "unbound $v on $where listens" up a 5353
        check "unbound $v on $where, UDP" ask_dns
        check "unbound $v on $where, TCP" ask_dns +tcp
        check "unbound $v on $where, truncated and asked again by TCP" big_dns
        stop "$server"
    done
}
