# needs: ls cp mv rm sort sha256sum
mkdir -p a/b/c; seq 1 2000 >a/numbers; cp -rp a copy; ln -s numbers a/link; ln a/numbers a/hard
mv copy/numbers copy/b/moved; rm -r copy/b/c; ls -R; ls -l a/link | cut -c 1-10
shuf --random-source=/bin/sh a/numbers | sort -n --parallel=2 | sha256sum; sort -r a/numbers | md5sum; sha512sum a/numbers
tac a/numbers | head -3; tail -n 2 a/numbers; nl -v 5 a/numbers | tail -n 1; wc a/numbers; uniq -c a/numbers | tail -n 1
cksum a/numbers; b2sum a/numbers; base64 a/numbers | tail -n 1; od -c a/numbers | tail -n 2
split -n 4 a/numbers part.; cat part.* | cmp - a/numbers; join a/numbers copy/b/moved | tail -n 1
paste a/numbers copy/b/moved | cut -f 2 | tr 0-9 a-j | fold -w 3 | expand | tail -n 1; sort part.aa >one; comm -12 one one | wc -l
dd if=a/numbers of=dd bs=100 count=5 skip=2 status=none; stat -c '%s %F %a' dd a/link; du -b dd; truncate -s 4096 dd
touch -d 2001-01-01 dd; date -r dd +%F; chmod 640 dd; chown "$(id -u)" dd; readlink -f a/link | xargs basename
mkfifo pipe; cat pipe & echo through >pipe; wait; rm pipe; mktemp -u xx.XXXX | wc -c; tee -a x y <dd >/dev/null
printf '%d %s %5.3f\n' 7 seven 7.7; expr 6 '*' 7; factor 360; numfmt --to=iec 123456789; test -f dd && echo file
timeout 5 sleep 0.01; nice -n 1 true; nohup true 2>/dev/null; timeout 0.1 sleep 5 || echo "status $?"
seq 5 | stdbuf -oL cat; df / >/dev/null; who >/dev/null; uname -s; nproc >/dev/null; ls --color=always -la / >/dev/null
ls /nonexistent 2>&1 || echo "status $?"; cat /nonexistent 2>&1 || echo "status $?"; ls -lR /etc >/dev/null 2>&1; sync dd
