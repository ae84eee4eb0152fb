# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_apache='apache2 curl'

apache_conf() { # MPM
    mkdir -p httpd
    cat > httpd/conf <<- END
	ServerRoot $work/httpd
	LoadModule mpm_$1_module /usr/lib/apache2/modules/mod_mpm_$1.so
	LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
	PidFile $work/httpd/pid
	DefaultRuntimeDir $work/httpd
	Mutex posixsem
	ServerName test
	Listen $host:8120
	ErrorLog $work/httpd/error.log
	DocumentRoot $work
	EnableSendfile On
	<Directory $work>
	    Require all granted
	</Directory>
	END
    [ "$(id -u)" != 0 ] || chmod 755 "$work"
}
apache_get() { rm -f got && curl_ -f -o got "http://$host:8120/data" && cmp data got; }
apache_many() {
    local i args=()
    for i in {1..100}; do args+=(-o "got.$i" "http://$host:8120/small?$i"); done
    curl_ -f -Z --parallel-max 50 "${args[@]}" || return
    for i in {1..100}; do cmp small "got.$i" || return; done
}
test_apache() {
    local mpm
    for mpm in event prefork; do
        [ -f /usr/lib/apache2/modules/mod_mpm_$mpm.so ] || continue
        apache_conf $mpm
        serve apache a apache2 -DFOREGROUND -f "$work/httpd/conf"
        check "apache $v $mpm listens" up a 8120
        check "apache $v $mpm GET $mib MiB" apache_get
        check "apache $v $mpm 100 GETs, 50 at once" apache_many
        stop "$server"
    done
}
