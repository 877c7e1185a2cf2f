# needs: sqlite3
sqlite3 base.db <<'END'
create table n (a integer primary key, b text, c real);
with recursive s(i) as (select 1 union all select i + 1 from s where i < 20000)
insert into n select i, 'text ' || (i * 7919 % 1000), i / 3.0 from s;
create index nb on n (b);
select count(*), sum(a), round(avg(c), 6) from n;
select b, count(*) from n group by b order by 2 desc, 1 limit 5;
begin; delete from n where a % 2; rollback;
update n set b = upper(b) where a < 100; select * from n where b like 'TEXT 9%' order by a limit 3;
pragma journal_mode = wal; insert into n values (99999, 'wal', 1e300); pragma wal_checkpoint(truncate);
pragma integrity_check; vacuum;
.mode csv
.output dump.csv
select * from n where a between 5 and 10;
END
sqlite3 base.db .dump | sha256sum; sqlite3 base.db 'select no' 2>&1 || echo "status $?"; sqlite3 :memory: 'select 6*7, strftime("%Y", 0, "unixepoch")'
