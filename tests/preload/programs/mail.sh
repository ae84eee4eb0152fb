# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# exim takes a message and delivers it into a Maildir; dovecot shows it by IMAP
needs_mail='exim4 dovecot'

mail_conf() {
    mkdir -p mail/spool mail/log mail/dovecot mail/Maildir
    local me owner
    me=$(id -un) owner=$me
    if [ "$(id -u)" = 0 ]; then # dovecot shows nobody's mail but root's
        owner=nobody
        chmod 755 "$work" && chown -R nobody mail/Maildir
    fi
    cat > mail/exim.conf <<- END
	exim_user = $me
	exim_group = $(id -gn)
	never_users =
	spool_directory = $work/mail/spool
	log_file_path = $work/mail/log/%slog
	pid_file_path = $work/mail/exim.pid
	local_interfaces = <; [$addr]:2525
	primary_hostname = test
	domainlist local = test
	acl_smtp_rcpt = accept
	acl_smtp_data = accept
	host_lookup =
	rfc1413_query_timeout = 0s
	tls_advertise_hosts =
	begin acl
	accept:
	  accept
	begin routers
	all:
	  driver = accept
	  transport = maildir
	begin transports
	maildir:
	  driver = appendfile
	  directory = $work/mail/Maildir
	  maildir_format
	  user = $owner
	  create_directory
	END
    cat > mail/dovecot.conf <<- END
	protocols = imap
	base_dir = $work/mail/dovecot
	log_path = $work/mail/log/dovecot
	ssl = no
	disable_plaintext_auth = no
	mail_location = maildir:$work/mail/Maildir
	$([ "$(id -u)" = 0 ] || echo "default_internal_user = $me")
	$([ "$(id -u)" = 0 ] || echo "default_login_user = $me")
	first_valid_uid = 0
	listen = $addr
	passdb {
	  driver = static
	  args = password=secret
	}
	userdb {
	  driver = static
	  args = uid=$(id -u $owner) gid=$(id -g $owner) home=$work/mail/Maildir
	}
	service imap-login {
	  chroot =
	  inet_listener imap {
	    port = 2143
	  }
	}
	service anvil {
	  chroot =
	}
	import_environment = LD_PRELOAD ZT_HOME ZT_PRELOAD_START
	END
}
mail_through() {
    b "$python" - "$addr" <<- 'END'
	import imaplib, os, smtplib, sys, time
	body = 'Subject: across\r\n\r\n' + 'x' * 70 + '\r\n'
	s = smtplib.SMTP(sys.argv[1], 2525, timeout=20)
	s.sendmail('a@test', ['b@test'], body)
	s.quit()
	for _ in range(50):
	    i = imaplib.IMAP4(sys.argv[1], 2143, timeout=20)
	    i.login('someone', 'secret')
	    n = int(i.select()[1][0])
	    if n:
	        break
	    i.logout()
	    time.sleep(0.2)
	text = i.fetch(str(n), '(RFC822)')[1][0][1]
	assert b'across' in text and b'x' * 70 in text, text
	i.logout()
	END
}
test_mail() {
    mail_conf
    serve exim a exim4 -C "$work/mail/exim.conf" -bdf -q1m
    local exim=$server
    check "exim $v listens" up a 2525
    serve dovecot a dovecot -F -c "$work/mail/dovecot.conf"
    check "dovecot $v listens" up a 2143
    check "mail $v by SMTP into exim, by IMAP out of dovecot" mail_through
    stop "$server"
    stop "$exim"
}
