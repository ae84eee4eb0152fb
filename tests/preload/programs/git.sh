# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_git=git

git_clone() {
    rm -rf clone
    b git -c http.proxy= clone -q "http://$host:8040/repo.git" clone && cmp data8 clone/data8
}
prepare_git() {
    [ ! -d repo ] || return 0
    git init -q repo && cp data8 repo/ && git -C repo add data8 &&
        git -C repo -c user.name=t -c user.email=t@localhost commit -qm one &&
        git clone -q --bare repo repo.git && git -C repo.git update-server-info
}
test_git() {
    check "a repository" prepare_git
    serve git a "$python" -u -m http.server --bind "$addr" --directory "$work" 8040
    check "the server for git $v listens" up a 8040
    check "git $v clone over http" git_clone
    stop "$server"
}
