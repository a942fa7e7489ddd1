# `cpack -G DEB` in the build directory: one package with the library, its headers, the program and these pages.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tandem)
set(CPACK_PACKAGE_VENDOR "The tandem authors")
set(CPACK_PACKAGE_CONTACT "tandem developers <tandem@localhost>")
set(CPACK_PACKAGE_DESCRIPTION "What multiprocessing gives Python, with the manners of the C++ standard library:
messages through shared memory, locks that survive their owners, shared state,
and pools in which a dead worker costs the one task it was running.
This package has the library, its headers, what CMake and pkg-config need to
find it, and the program tandem, which shows what processes do with it.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
# Of the libraries, those that the program and a shared library load; of headers, those that ours include. OpenSSL's
# are not included, but its library is linked by programs that link ours statically.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "libboost-dev (>= 1.74) | libboost1.81-dev, libcereal-dev, libssl-dev (>= 1.1.1)")
if(BUILD_SHARED_LIBS)
  set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
endif()

include(CPack)
