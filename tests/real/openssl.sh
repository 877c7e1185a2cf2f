# needs: openssl
seq 1 50000 >data; openssl dgst -sha256 data; openssl dgst -sha3-512 data; openssl md5 data
openssl enc -aes-256-cbc -pbkdf2 -S 0102030405060708 -k secret -in data -out secret; sha256sum secret
openssl enc -d -aes-256-cbc -pbkdf2 -S 0102030405060708 -k secret -in secret | cmp - data && echo same
openssl genrsa -out key.pem 1024 2>/dev/null; openssl rsa -in key.pem -check -noout; openssl rsa -in key.pem -pubout -out public.pem 2>/dev/null
openssl dgst -sha256 -sign key.pem -out signature data; openssl dgst -sha256 -verify public.pem -signature signature data
openssl req -x509 -key key.pem -subj /CN=localhost -days 2 -out certificate.pem; openssl x509 -in certificate.pem -noout -subject
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem; openssl ec -in ec.pem -noout -text 2>/dev/null | tail -n 1
openssl rand -hex 16 | wc -c; openssl prime 1000003; openssl base64 -in data | tail -n 1; openssl verify -CAfile certificate.pem certificate.pem
openssl dgst /nonexistent 2>/dev/null || echo "status $?"; rm -f key.pem public.pem signature certificate.pem ec.pem
