echo > /dev/tcp/127.0.0.1/9
echo 'deny 127.0.0.0/8 *' > policy.txt
echo > /dev/tcp/127.0.0.1/9
