# fish completion for ztctl; 'ztctl completion fish' prints it
function __ztctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete $words[2..-1] 2>/dev/null)
    switch "$found[-1]"
        case :dir
            __fish_complete_directories (commandline -ct)
        case :file
            __fish_complete_path (commandline -ct)
        case :program
            complete -C (commandline -ct)
        case '*'
            set -e found[-1]
            printf '%s\n' $found
    end
end
complete -c ztctl -f -a '(__ztctl_complete)'
