/* Android's C library, as far as libraries for Android need it in tests, on top of glibc.
 *
 * Each function here is exported under bionic's name, with bionic's version LIBC; inside this
 * file plain names are glibc's. bionic_shim.py adds a jump to glibc's function for every other
 * name that the libraries under test import. Only what differs is here. Test code: it is in no
 * APK, and no library of ours is linked with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BIONIC(ours, name) __asm__(".symver " #ours ", " #name "@LIBC")

int* shim_errno(void) { return &errno; }
BIONIC(shim_errno, __errno);

size_t shim_strlen_chk(const char* text, size_t size) {
  (void)size;
  return strlen(text);
}
BIONIC(shim_strlen_chk, __strlen_chk);

/* bionic's returns an int, as POSIX says. */
int __xpg_strerror_r(int, char*, size_t);
int shim_strerror_r(int number, char* text, size_t size) {
  return __xpg_strerror_r(number, text, size);
}
BIONIC(shim_strerror_r, strerror_r);

/* bionic numbers what it can be asked for in its own way. */
long shim_sysconf(int name) {
  switch (name) {
    case 0x06: return sysconf(_SC_CLK_TCK);
    case 0x27:
    case 0x28: return sysconf(_SC_PAGESIZE);
    case 0x60: return sysconf(_SC_NPROCESSORS_CONF);
    case 0x61: return sysconf(_SC_NPROCESSORS_ONLN);
    case 0x62: return sysconf(_SC_PHYS_PAGES);
    case 0x63: return sysconf(_SC_AVPHYS_PAGES);
  }
  fprintf(stderr, "bionic shim: unknown sysconf(%d)\n", name);
  __builtin_trap();
}
BIONIC(shim_sysconf, sysconf);

/* TFLite makes its XNNPACK delegate only if this says more than 19. */
int shim_system_property_get(const char* name, char* value) {
  strcpy(value, strcmp(name, "ro.build.version.sdk") == 0 ? "34" : "");
  return (int)strlen(value);
}
BIONIC(shim_system_property_get, __system_property_get);

/* Its three streams are an array of structures of 152 bytes, or, from Android 6 on, pointers. */
char shim_sF[3 * 152];
BIONIC(shim_sF, __sF);
FILE *shim_stdin, *shim_stdout, *shim_stderr;
BIONIC(shim_stdin, stdin);
BIONIC(shim_stdout, stdout);
BIONIC(shim_stderr, stderr);

__attribute__((constructor)) static void open_streams(void) {
  shim_stdin = stdin;
  shim_stdout = stdout;
  shim_stderr = stderr;
}

static FILE* glibc(void* stream) {
  if ((char*)stream == shim_sF) return stdin;
  if ((char*)stream == shim_sF + 152) return stdout;
  if ((char*)stream == shim_sF + 304) return stderr;
  return stream;
}

int shim_vfprintf(void* stream, const char* format, va_list values) {
  return vfprintf(glibc(stream), format, values);
}
BIONIC(shim_vfprintf, vfprintf);
int shim_fprintf(void* stream, const char* format, ...) {
  va_list values;
  va_start(values, format);
  int result = vfprintf(glibc(stream), format, values);
  va_end(values);
  return result;
}
BIONIC(shim_fprintf, fprintf);
int shim_fputc(int character, void* stream) { return fputc(character, glibc(stream)); }
BIONIC(shim_fputc, fputc);
int shim_fputs(const char* text, void* stream) { return fputs(text, glibc(stream)); }
BIONIC(shim_fputs, fputs);
size_t shim_fwrite(const void* data, size_t size, size_t count, void* stream) {
  return fwrite(data, size, count, glibc(stream));
}
BIONIC(shim_fwrite, fwrite);
int shim_fflush(void* stream) { return fflush(glibc(stream)); }
BIONIC(shim_fflush, fflush);
int shim_fclose(void* stream) { return fclose(glibc(stream)); }
BIONIC(shim_fclose, fclose);
int shim_fileno(void* stream) { return fileno(glibc(stream)); }
BIONIC(shim_fileno, fileno);

void shim_abort_message(const char* message) { fprintf(stderr, "%s\n", message); }
BIONIC(shim_abort_message, android_set_abort_message);

/* liblog has no versions. */
int __android_log_vprint(int priority, const char* tag, const char* format, va_list values) {
  (void)priority;
  fprintf(stderr, "%s: ", tag ? tag : "");
  int result = vfprintf(stderr, format, values);
  fputc('\n', stderr);
  return result;
}
int __android_log_print(int priority, const char* tag, const char* format, ...) {
  va_list values;
  va_start(values, format);
  int result = __android_log_vprint(priority, tag, format, values);
  va_end(values);
  return result;
}
int __android_log_write(int priority, const char* tag, const char* text) {
  return __android_log_print(priority, tag, "%s", text);
}

/* glibc's mutex has 48 bytes on aarch64, of which all but 40 are padding; bionic's has 40. */
int shim_mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attributes) {
  pthread_mutex_t made;
  int failed = pthread_mutex_init(&made, attributes);
  memcpy(mutex, &made, 40);
  return failed;
}
BIONIC(shim_mutex_init, pthread_mutex_init);
