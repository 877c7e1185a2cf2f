# needs: tar gzip find awk sed grep diff
mkdir -p tree/x/y; for i in 1 2 3 4 5 6 7 8 9; do seq "$i" "${i}00" >"tree/x/f$i"; done; ln -s ../f1 tree/x/y/link
tar --sort=name --mtime=2001-01-01Z --owner=0 --group=0 -cf - tree | sha256sum; tar -C tree -czf t.tgz x; tar -tzf t.tgz | sort
mkdir out; tar -C out -xzf t.tgz; diff -r tree/x out/x && echo same; rm t.tgz; gzip -9nc tree/x/f9 | gzip -dc | cmp - tree/x/f9
find tree -type f -size +2k -name 'f[5-9]' -printf '%P %s\n' | sort; find tree -type l -exec readlink {} +
find tree -type f -print0 | sort -z | xargs -0 -n 2 -P 2 wc -l | awk '$2 != "total"' | sort; find . -newer tree -maxdepth 1 >/dev/null
awk '{ s += $1; n[$1 % 5]++ } END { printf "%d %.3f", s, sqrt(s); for (i = 0; i < 5; i++) printf " %d", n[i]; print "" }' tree/x/f9
awk 'BEGIN { while (("echo one; echo two" | getline line) > 0) print toupper(line); print length("wörter"), substr("abcdef", 2, 3); exit 0 }'
sed -n '5,7{s/\(.\)/<\1>/gp}' tree/x/f1; sed -i 's/^1/X/' tree/x/f2; head -20 tree/x/f2 | tail -2; sed -E 's/([0-9])([0-9])/\2\1/' tree/x/f3 | tail -1
grep -c 7 tree/x/f8; grep -rl '^900$' tree; grep -E -o '(1|2){3}' tree/x/f9 | sort -u; grep -q none tree/x/f1 || echo "status $?"
echo 'äöü ÄÖÜ' | grep -oi 'ÄÖ.'; diff -u tree/x/f1 tree/x/f2 | tail -n +3 | head -5; cmp tree/x/f1 tree/x/f2 2>&1 || echo "status $?"
