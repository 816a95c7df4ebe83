#include <cstdio>
int main() {
  std::puts("cavmae");
}
