# bash completion for ztctl; 'ztctl completion bash' prints it
_ztctl() {
    local line how=:none current=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    # bash splits KEY=VALUE at '='; ztctl wants it whole
    if [[ $current = '=' || ${COMP_WORDS[COMP_CWORD - 1]} = '=' ]]; then return; fi
    while IFS= read -r line; do
        case $line in
        :*) how=$line ;;
        *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2> /dev/null)
    case $how in
    :dir) mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames ;;
    :file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames ;;
    :program) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    esac
    [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} = *= ]] && compopt -o nospace
    return 0
}
complete -F _ztctl ztctl
