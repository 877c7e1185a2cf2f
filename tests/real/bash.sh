# needs: bash
bash -euc '
declare -A count
for word in one two three two one two; do count[$word]=$(( ${count[$word]:-0} + 1 )); done
for word in "${!count[@]}"; do echo "$word ${count[$word]}"; done | sort
printf "%05.2f|%-8s|%x\n" 3.14159 left 255
mapfile -t lines < <(seq 1 5); echo "${#lines[@]} ${lines[*]}"
exec 7>out.txt; echo to seven >&7; exec 7>&-; cat out.txt
trap "echo caught" USR1; kill -USR1 $BASHPID; trap "echo leaving" EXIT
( exit 3 ) || echo "status $?"
sleep 0.01 & wait $!; echo "waited: $?"
exec 5< <(tr a-z A-Z <<<hello); cat <&5
[[ "abc-123" =~ ^([a-z]+)-([0-9]+)$ ]] && echo "${BASH_REMATCH[2]}"
echo *.txt; cd /; pwd; umask 027; umask; ulimit -n >/dev/null
(ulimit -s 512; echo small stack) | { read -r line; echo "$line"; }
'
