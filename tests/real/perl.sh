# needs: perl
cat >work.pl <<'END'
use strict; use warnings; use POSIX qw(floor fmod strtol setlocale LC_ALL strftime); use Socket;
my %count; $count{$_}++ for map { $_ % 7 } 1 .. 1000; print join(",", map { "$_=$count{$_}" } sort keys %count), "\n";
open my $out, ">", "lines" or die; print $out "line $_\n" for 1 .. 500; close $out;
open my $in, "<", "lines" or die; my @lines = <$in>; close $in; print scalar(@lines), " ", $lines[-1];
my $text = join " ", map { sprintf "%03d", $_ } 1 .. 50; $text =~ s/(\d)(\d)(\d)/$3$2$1/g; print "$text\n";
print floor(3.7), " ", fmod(10, 3), " ", (strtol("0x1f", 16))[0], " ", strftime("%F", gmtime 0), "\n";
my $pid = fork; if (!$pid) { exit 6 } waitpid $pid, 0; print $? >> 8, "\n";
print `echo from a command; exit 2`, $? >> 8, "\n"; system "true"; print "system $?\n";
pipe my $r, my $w; if (!fork) { close $r; print $w "through a pipe\n"; exit } close $w; print <$r>; wait;
socketpair my $one, my $two, AF_UNIX, SOCK_STREAM, PF_UNSPEC; syswrite $one, "socket\n"; sysread $two, my $got, 100; print $got;
$SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 5; }; print $@;
print join(",", sort { $a <=> $b } map { $_ * 37 % 101 } 1 .. 20), "\n"; print -s "lines", " ", -e "none" ? 1 : 0, "\n";
opendir my $d, "." or die; print join(",", sort grep { !/^\./ } readdir $d), "\n"; print "$!\n" unless open my $n, "<", "/none";
printf "%.10f %s %e\n", atan2(1, 1) * 4, 2**0.5, exp 1; exec "echo", "the end";
END
perl work.pl
