# needs: git
git init -q -b main repository; cd repository
git config user.name someone; git config user.email someone@example.org; git config gc.auto 0
for i in 1 2 3 4 5; do seq 1 $((i * 50)) >file$i; git add "file$i"; git commit -q -m "number $i"; done
git log --format='%H %an %ad %s' --stat; git branch side HEAD~2; git checkout -q side
echo change >>file1; git commit -q -a -m side; git merge -q -m merged main; git log --graph --format=%s
git diff HEAD~1 --stat; git show HEAD~1 | sha256sum; git grep -n 42 | head -5; git blame file1 | tail -n 2
git stash list; echo dirty >file2; git status --short; git stash -q; git stash pop -q; git diff file2 | tail -n 3
git checkout -q -- file2; git tag -a v1 -m tagged; git describe; git archive HEAD | tar -t; git fsck; git gc -q
cd ..; git clone -q repository clone; git -C clone log --oneline | head -2; git -C repository bundle create -q ../b HEAD
git bundle verify -q b 2>&1 || echo "status $?"; rm -rf repository clone b; git -C / log 2>&1 || echo "status $?"
