// breaks_throws.cc: exceptions that pass through traced functions (f_*), caught and thrown anew.
#include <cstdio>
#include <stdexcept>

extern "C" __attribute__((noinline, noipa)) int f_throws(int n)
{
        if (n % 3 == 0)
                throw std::runtime_error("three");
        return n;
}

extern "C" __attribute__((noinline, noipa)) int f_passes(int n)
{
        return f_throws(n) + 1;
}

extern "C" __attribute__((noinline, noipa)) int f_catches(int n)
{
        try {
                return f_passes(n);
        } catch (const std::exception &) {
                return -1;
        }
}

namespace own {
class Counter {
public:
        __attribute__((noinline, noipa)) int add(int n) { return sum += n; }
private:
        int sum = 0;
};
}

int main()
{
        int sum = 0;
        own::Counter counter;
        for (int i = 0; i < 30; i++) {
                sum += f_catches(i);
                counter.add(i);
        }
        std::printf("expect f_catches 30 30\nexpect f_passes 30 20\nexpect f_throws 30 20\n");
        return sum != 435 - 135 + 20 - 10;
}
