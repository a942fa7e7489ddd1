# Builds and runs the consumer with nothing but what pkg-config says of the tandem in `prefix`.

include(${CMAKE_CURRENT_LIST_DIR}/functions.cmake)
need(pkg_config pkg-config)

file(GLOB_RECURSE pc_file ${prefix}/tandem.pc)
cmake_path(GET pc_file PARENT_PATH directory)
set(ENV{PKG_CONFIG_PATH} ${directory})

ask(version ${pkg_config} --modversion tandem)
if(NOT version STREQUAL tandem_version)
  message(FATAL_ERROR "The version is ${tandem_version}, pkg-config says ${version}.")
endif()
ask(libdir ${pkg_config} --variable=libdir tandem)
cmake_path(NORMAL_PATH libdir)
if(NOT libdir MATCHES "^${prefix}/")
  message(FATAL_ERROR "The library is in ${prefix}, pkg-config says ${libdir}.")
endif()

ask(flags ${pkg_config} --cflags --libs tandem)
separate_arguments(flags UNIX_COMMAND "${flags}")
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
# The library's directory for the loader, in case that it is shared.
run(${compiler} -std=c++20 -o ${work}/consumer ${CMAKE_CURRENT_LIST_DIR}/consumer.cpp ${flags} -Wl,-rpath,${libdir})
run(${work}/consumer)
