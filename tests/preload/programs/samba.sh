# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_samba='smbd smbclient'

smb_conf() {
    mkdir -p smb/private smb/lock
    cat > smb/conf <<- END
	[global]
	interfaces = $addr
	bind interfaces only = yes
	smb ports = 4450
	private dir = $work/smb/private
	lock directory = $work/smb/lock
	state directory = $work/smb/lock
	cache directory = $work/smb/lock
	pid directory = $work/smb
	ncalrpc dir = $work/smb/ncalrpc
	log file = $work/smb/log
	map to guest = bad user
	guest account = $(id -un)
	security = user
	disable netbios = yes
	load printers = no
	server services = smb
	[share]
	path = $work/stored
	guest ok = yes
	read only = no
	force user = $(id -un)
	END
}
smb_both() {
    rm -f stored/smb got
    b smbclient -N -p 4450 -s smb/conf "//$addr/share" -c "put data smb; get smb got" && cmp data stored/smb && cmp data got
}
test_samba() {
    smb_conf
    serve samba a smbd -F --no-process-group -s "$work/smb/conf" --debug-stdout
    check "smbd $v listens" up a 4450
    check "smbclient $v $mib MiB there and back" smb_both
    stop "$server"
}
