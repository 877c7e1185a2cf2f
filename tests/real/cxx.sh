# needs: g++
cat >a.cc <<'END'
#include <algorithm>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <filesystem>
#include <future>
int main()
{
	std::vector<int> v;
	for (int i = 0; i < 1000; i++) v.push_back(i * 7919 % 1009);
	std::sort(v.begin(), v.end());
	std::map<std::string, int> m;
	for (int n : v) m[std::to_string(n % 10)]++;
	for (auto &[k, c] : m) std::cout << k << ' ' << c << '\n';
	try { std::stoi("none"); } catch (const std::exception &e) { std::cout << e.what() << '\n'; }
	std::vector<std::thread> threads;
	for (int i = 0; i < 8; i++) threads.emplace_back([] { std::ostringstream s; s << std::this_thread::get_id(); });
	for (auto &t : threads) t.join();
	std::cout << std::async(std::launch::async, [] { return 42; }).get() << std::endl;
	for (auto &e : std::filesystem::directory_iterator(".")) if (e.path().extension() == ".cc") std::cout << e.path() << '\n';
	throw std::runtime_error("the end");
}
END
g++ -O1 -std=c++17 -pthread a.cc -o program; ./program 2>&1 || echo "status $?"; sha256sum program
