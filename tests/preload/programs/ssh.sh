# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_ssh='sshd ssh ssh-keygen scp sftp'

sshd_folder() { # sshd insists on it when it is root
    [ "$(id -u)" != 0 ] || [ -d /run/sshd ] || { mkdir -m 755 /run/sshd && at_end='rmdir /run/sshd'; }
}
prepare_ssh() {
    [ ! -d ssh ] || return 0
    mkdir -m 700 ssh
    ssh-keygen -q -t ed25519 -N '' -f ssh/host && ssh-keygen -q -t ed25519 -N '' -f ssh/user || return
    cp ssh/user.pub ssh/authorized
    cat > ssh/client <<- END
	IdentityFile $work/ssh/user
	IdentitiesOnly yes
	UserKnownHostsFile $work/ssh/known
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking accept-new
	BatchMode yes
	LogLevel ERROR
	ConnectTimeout 60
	END
    cat > ssh/server <<- END
	HostKey $work/ssh/host
	AuthorizedKeysFile $work/ssh/authorized
	StrictModes no
	UsePAM no
	PidFile none
	PermitRootLogin yes
	PasswordAuthentication no
	Subsystem sftp internal-sftp
	END
}
ssh_opts() { b "$1" -F ssh/client "${@:2}"; }
me() { echo "$(id -un)@$1"; }
ssh_run() {
    local out
    out=$(ssh_opts ssh -p 2222 "$(me "$addr")" 'echo "$((6 * 7)) $SSH_CONNECTION"; exit 5')
    local code=$?
    echo "status $code: $out"
    [ $code = 5 ] && [[ $out == "42 "*" $addr 2222" ]]
}
ssh_pipe() { ssh_opts ssh -p 2222 "$(me "$addr")" cat < data8 > got && cmp data8 got; }
scp_there() { ssh_opts scp -P 2222 data8 "$(me "$host")":"$work/stored/scp" && cmp data8 stored/scp; }
sftp_back() {
    rm -f got
    echo "get $work/data8 $work/got" | ssh_opts sftp -P 2222 -b - "$(me "$host")" && cmp data8 got
}
test_ssh() {
    if [ "$(id -u)" = 0 ] && ! id sshd > /dev/null 2>&1; then
        echo "skipped ssh $v: as root sshd needs the user sshd, which comes with the package openssh-server"
        return
    fi
    sshd_folder
    check "keys for sshd" prepare_ssh
    serve sshd a "$(command -v sshd)" -D -e -f "$work/ssh/server" -o "ListenAddress=$addr" -p 2222
    local s=$server
    check "sshd $v listens" up a 2222
    check "ssh $v runs a command, with its status" ssh_run
    check "ssh $v 8 MiB through cat" ssh_pipe
    check "scp $v 8 MiB there" scp_there
    check "sftp $v 8 MiB back" sftp_back
    stop "$s"
}
