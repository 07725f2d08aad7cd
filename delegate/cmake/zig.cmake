# Toolchain: the `ziglang` wheel, for this machine and for any other.
#
#   cmake -S delegate -B build/delegate-aarch64 -G Ninja \
#     -DCMAKE_TOOLCHAIN_FILE=delegate/cmake/zig.cmake \
#     -DZIG="$(python -c 'import ziglang; print(ziglang.__path__[0])')/zig" \
#     -DZIG_TARGET=aarch64-linux-gnu.2.17
#
# glibc 2.17 is manylinux2014's: the library loads wherever the wheel installs.
set(ZIG "zig" CACHE FILEPATH "the zig program")
set(ZIG_TARGET "x86_64-linux-gnu.2.17" CACHE STRING "architecture-system-abi to compile for")
# try_compile() reads this file again and needs both.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_TARGET)

string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${ZIG_TARGET}")
if(ZIG_TARGET MATCHES "-macos")
  set(CMAKE_SYSTEM_NAME Darwin)
elseif(ZIG_TARGET MATCHES "-windows")
  set(CMAKE_SYSTEM_NAME Windows)
  set(CMAKE_RC_COMPILER "${ZIG}") # CMake wants one; there are no resources
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()

set(CMAKE_CXX_COMPILER "${ZIG}" c++ -target ${ZIG_TARGET})
# CMake's tests of the compiler compile and do not link, and do not ask what it is: for a first
# program zig builds the whole libc++, which takes a minute for each target.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_CXX_COMPILER_ID_RUN TRUE)
set(CMAKE_CXX_COMPILER_ID Clang)
set(CMAKE_CXX_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_CXX_COMPILER_VERSION 20) # of ziglang 0.15
set(CMAKE_CXX_STANDARD_COMPUTED_DEFAULT 17)
# CMake wants archivers without arguments; these rules give `zig ar` its own.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "\"${ZIG}\" ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"${ZIG}\" ranlib <TARGET>")
