// What the delegate and its tests need of the C++ library beside its headers, so that they link
// to libc alone.
//
// zig would link its whole libc++ into every library: 270 kB, and a minute to compile for each
// target. With another compiler the delegate has the C++ library of that one instead.
#include <cstdlib>
#include <new>
#include <string>

// libc++'s headers declare these and leave them to the library.
template class std::basic_string<char>;
template std::string std::operator+(const char*, const std::string&);

void* operator new(size_t size) {
  void* memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) std::abort();
  return memory;
}

void* operator new[](size_t size) { return operator new(size); }

void operator delete(void* memory) noexcept { std::free(memory); }

void operator delete[](void* memory) noexcept { std::free(memory); }

void operator delete(void* memory, size_t) noexcept { std::free(memory); }

// In the tables of abstract classes.
extern "C" [[noreturn]] void __cxa_pure_virtual() { std::abort(); }
