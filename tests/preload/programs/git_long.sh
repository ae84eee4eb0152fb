# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
# git:// and ssh
needs_git_long='git sshd ssh ssh-keygen'

git_daemon() {
    rm -rf clone && b git clone -q "git://$host:9418/repo.git" clone && cmp data8 clone/data8
}
git_ssh() {
    rm -rf clone
    GIT_SSH_COMMAND="ssh -F $work/ssh/client" b git clone -q "ssh://$(me "$host"):2224$work/repo.git" clone &&
        cmp data8 clone/data8
}
git_push() {
    (cd clone && cp ../small again && git add again && git -c user.name=t -c user.email=t@localhost commit -qm two &&
        GIT_SSH_COMMAND="ssh -F $work/ssh/client" ZT_HOME=$work/b ZT_PRELOAD_START=no LD_PRELOAD=$preload git push -q) &&
        git -C repo.git log --oneline | grep -q two
}
test_git_long() {
    check "a repository" prepare_git
    touch repo.git/git-daemon-export-ok
    serve gitd a git daemon --reuseaddr --listen="$addr" --port=9418 --base-path="$work" "$work"
    check "git daemon $v listens" up a 9418
    check "git $v clone over git://" git_daemon
    stop "$server"
    sshd_folder
    check "keys for sshd" prepare_ssh
    serve sshd a "$(command -v sshd)" -D -e -f "$work/ssh/server" -o "ListenAddress=$addr" -p 2224
    check "sshd $v listens" up a 2224
    check "git $v clone over ssh" git_ssh
    check "git $v push over ssh" git_push
    stop "$server"
}
