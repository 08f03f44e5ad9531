@echo off
rem The manual minutes on a bare Windows 11. Run it once in a console that was opened "as administrator"; run again,
rem it changes nothing.
rem
rem     bootstrap.cmd [FILE.pub or "ssh-ed25519 AAAA..."] [lan | no-lan] [no-tailscale]
rem
rem lan: let the local network in on port 22 for good; no-lan ends that. no-tailscale: leave Tailscale alone.
rem The first argument is the desk's public key. Without it, desk.pub beside this file counts; without that, it asks.
rem What converge does afterwards is not done here: only what it needs to come in. Run it as the user whom the desk
rem shall come as: an administrator, and the one who uses Tailscale and Docker Desktop here.
setlocal EnableExtensions DisableDelayedExpansion

rem Official installer. Another processor: put its own URL and sha256 here.
set "TAILSCALE_URL=https://pkgs.tailscale.com/stable/tailscale-setup-1.102.4-amd64.msi"
set "TAILSCALE_SHA256=80eb007e39dfebe17299fa1a09c79a8e1d934f76e0246c0817ebe3af675b7ef6"
rem Who may speak to port 22: every tailnet's addresses. The second line is how Windows keeps the first of them.
set "TAILNET=100.64.0.0/10,fd7a:115c:a1e0::/48"
set "TAILNET_KEPT=RA4=100.64.0.0/255.192.0.0"

rem Programs come from these folders alone: not from where this file lies, which others may write to.
set "NoDefaultCurrentDirectoryInExePath=1"
set "PATH=%SystemRoot%\System32;%SystemRoot%\System32\OpenSSH;%ProgramFiles%\Tailscale"
set "RULES=HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
set "OPENSSH=HKLM\SOFTWARE\OpenSSH"
set "POLICY=HKLM\SOFTWARE\Policies\Tailscale"
set "POWER=HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power"
set "SSH=%ProgramData%\ssh"
set "KEYS=%SSH%\administrators_authorized_keys"
set "HOST_KEY=%SSH%\ssh_host_ed25519_key.pub"
set "DOOR=llm-harness ssh"
set "LAN_DOOR=llm-harness ssh from the local network"
set "FIRST_DOOR=llm-harness ssh until this machine is on the tailnet"
rem By SID, because the groups' names are translated: administrators, SYSTEM, every user.
set "FULL=*S-1-5-32-544:(OI)(CI)F *S-1-5-18:(OI)(CI)F"
set "READ=*S-1-5-11:(OI)(CI)RX"

set "given="
set "lan="
set "no_lan="
set "tailscale=yes"
for %%w in ("%~1" "%~2" "%~3" "%~4") do (
    if /i %%w=="lan" (
        set "lan=yes"
    ) else if /i %%w=="no-lan" (
        set "no_lan=yes"
    ) else if /i %%w=="no-tailscale" (
        set "tailscale="
    ) else if not %%w=="" (
        if defined given goto :too_much
        set "given=%%~w"
    )
)
if defined lan if defined no_lan goto :too_much

rem -- the ground
fltmc >nul 2>&1 || goto :not_elevated

if not defined given if exist "%~dp0desk.pub" set "given=%~dp0desk.pub"
if not defined given set /p "given=The desk's public key (its line, or the .pub file): "
if not defined given goto :no_key
set "given=%given:"=%"
set "line=%given%"
if not exist "%given%" goto :key_is_read
set "line="
for /f "usebackq eol=# tokens=1,2" %%a in ("%given%") do if not defined line set "line=%%a %%b"
if not defined line goto :no_key
set "line=%line:"=%"
:key_is_read
set "type="
set "blob="
for /f "tokens=1,2" %%a in ("%line%") do (
    set "type=%%a"
    set "blob=%%b"
)
if not defined blob goto :no_key
rem What is neither base64 nor a type of key must never reach a line of cmd's. Without eol a text that goes on with a
rem semicolon would count as a comment; a letter that delims has cannot be met there.
for /f "eol=A delims=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=" %%x in ("%blob%") do goto :no_key
for /f "eol=a delims=abcdefghijklmnopqrstuvwxyz0123456789-@." %%x in ("%type%") do goto :no_key
if not "%blob:~0,4%"=="AAAA" goto :no_key
set "key=%type% %blob%"
set "restart="

rem -- sshd's folder: its settings and keys, later our programs. Any user may make it before sshd does, which then leaves
rem    it as it is, or does not start. Here it gets the access that sshd gives; without a server yet it must be empty.
set "doing=closing %SSH% to all but administrators"
set "fix=see `icacls %SSH%`, and whether a program has it open"
dir /b /al "%ProgramData%" 2>nul | findstr /i /l /x /c:"ssh" >nul && goto :folder_is_a_link
set "server="
sc query sshd >nul 2>&1 && set "server=yes"
set "found="
if exist "%SSH%" set "found=yes"
if not defined found md "%SSH%" || goto :failed_now
set "loose="
call :shut "%SSH%" 3 "%FULL% %READ%" || goto :failed_now
if not defined server for /f "eol=/ delims=" %%f in ('dir /b /a "%SSH%" 2^>nul') do goto :folder_is_filled
if not defined loose goto :folder_is_shut
echo   did    closed %SSH% to all but administrators
if not defined found goto :folder_is_shut
if not defined server goto :folder_is_shut
echo   to do  others could write into %SSH%: see that sshd_config and what else lies there is yours
if not exist "%SSH%\sshd_config" goto :folder_is_shut
takeown /f "%SSH%\sshd_config" /a >nul || goto :failed_now
icacls "%SSH%\sshd_config" /reset >nul || goto :failed_now
:folder_is_shut
if not exist "%SSH%\logs" goto :logs_are_shut
set "doing=closing %SSH%\logs to all but administrators"
set "fix=see `icacls %SSH%\logs`, and whether a program has it open"
set "loose="
call :shut "%SSH%\logs" 2 "%FULL%" || goto :failed_now
if defined loose echo   did    closed %SSH%\logs to all but administrators
:logs_are_shut
echo   is so  only administrators may change %SSH%

rem -- OpenSSH's server, a part of Windows that is not installed at first
set "doing=installing the OpenSSH server"
set "fix=see %SystemRoot%\Logs\DISM\dism.log; Windows Update must be reachable for it"
if defined server goto :server_is_there
echo   ...    %doing%, which can take some minutes
dism /Online /Add-Capability /CapabilityName:OpenSSH.Server~~~~0.0.1.0 /NoRestart /Quiet >nul
set "code=%ERRORLEVEL%"
if "%code%"=="3010" set "restart=yes"
if not "%code%"=="0" if not "%code%"=="3010" goto :failed
sc query sshd >nul 2>&1 || goto :restart_first
echo   did    installed the OpenSSH server
goto :server_done
:server_is_there
echo   is so  the OpenSSH server is installed
:server_done

rem -- port 22, before anything listens there. Ours lets in the tailnet. (Loopback passes no firewall.) Until this machine
rem    is on the tailnet a second rule lets in the local network: else the first connection could not be made. With the
rem    word `lan` a third one does so for good. Only then the rule that Windows brings is switched off, which lets every
rem    address in: whatever fails after that, somebody can still come.
set "doing=letting the tailnet in on port 22"
set "fix=see that the service mpssvc (Windows Firewall) runs"
call :open "%DOOR%" "%TAILNET%" "%TAILNET_KEPT%" || goto :failed_now
set "doing=letting the local network in on port 22"
call :is_active "%LAN_DOOR%" && if not defined no_lan set "lan=yes"
set "address="
if defined tailscale call :ask_tailnet
if defined lan call :open "%LAN_DOOR%" "LocalSubnet" "RA4=LocalSubnet" || goto :failed_now
if not defined lan if not defined address call :open "%FIRST_DOOR%" "LocalSubnet" "RA4=LocalSubnet" || goto :failed_now
set "doing=switching off the rule OpenSSH-Server-In-TCP, which lets every address in"
set "fix=switch it off by hand in wf.msc"
call :shipped_rule
if not defined shipped goto :shipped_rule_is_off
netsh advfirewall firewall set rule name="%shipped%" new enable=no >nul
call :shipped_rule
if defined shipped goto :failed_now
echo   did    switched off the rule OpenSSH-Server-In-TCP, which lets every address in
:shipped_rule_is_off

rem -- sshd: commands go through cmd.exe, whose exit codes and quotes are known; it starts with the machine
set "doing=making cmd.exe the shell of SSH"
set "fix=see the key %OPENSSH% in regedit"
reg query %OPENSSH% /v DefaultShell 2>nul | findstr /i /e /l /c:"\System32\cmd.exe" >nul && goto :shell_is_cmd
reg add %OPENSSH% /v DefaultShell /t REG_SZ /d "%SystemRoot%\System32\cmd.exe" /f >nul || goto :failed_now
echo   did    made cmd.exe the shell of SSH
:shell_is_cmd
reg query %OPENSSH% /v DefaultShellCommandOption >nul 2>&1 || goto :shell_is_plain
reg delete %OPENSSH% /v DefaultShellCommandOption /f >nul || goto :failed_now
echo   did    removed DefaultShellCommandOption, which is for another shell
:shell_is_plain

set "doing=starting sshd with the machine"
set "fix=try `sc start sshd`, and see Applications and Services Logs, OpenSSH, in eventvwr"
reg query HKLM\SYSTEM\CurrentControlSet\Services\sshd /v Start | findstr /e /l /c:"0x2" >nul && goto :starts_by_itself
sc config sshd start= auto >nul || goto :failed_now
echo   did    let sshd start with the machine
:starts_by_itself
sc start sshd >nul
set "code=%ERRORLEVEL%"
if "%code%"=="1056" goto :sshd_runs
if not "%code%"=="0" goto :failed
echo   did    started sshd
:sshd_runs
rem Its first start makes the host keys. 4 is "running" in every language; `: 4` could also be its exit code, in (0x4).
set "tries=0"
:wait_for_sshd
set "code=no host key"
sc query sshd | findstr /r /c:": 4  [^(]" >nul || set "code=it is not running"
if "%code%"=="no host key" if exist "%HOST_KEY%" goto :sshd_is_up
set /a tries+=1
set "code=%code% after %tries% s"
if %tries% geq 60 goto :failed
ping -n 2 127.0.0.1 >nul
goto :wait_for_sshd
:sshd_is_up
echo   is so  sshd runs and starts with the machine

rem -- the desk's key. For administrators sshd reads this file alone, and only if nobody else may write to it.
set "doing=putting the desk's key into %KEYS%"
set "fix=see `icacls %KEYS%`"
if not exist "%KEYS%" type nul >"%KEYS%"
takeown /f "%KEYS%" /a >nul || goto :failed_now
icacls "%KEYS%" /reset >nul || goto :failed_now
icacls "%KEYS%" /inheritance:r /grant:r *S-1-5-32-544:F *S-1-5-18:F >nul || goto :failed_now
call :key_is_there && goto :desk_may_come
>>"%KEYS%" echo.
>>"%KEYS%" echo %key% desk
call :key_is_there || goto :failed_now
echo   did    put the desk's key into %KEYS%
goto :key_done
:desk_may_come
echo   is so  the desk's key is in %KEYS%
:key_done

rem -- Tailscale, unattended: else it stops when nobody is logged in. The policy holds where the setting was lost.
if not defined tailscale goto :tailscale_done
if exist "%ProgramFiles%\Tailscale\tailscale.exe" goto :tailscale_is_there
set "doing=downloading %TAILSCALE_URL%"
set "fix=see that this machine has internet, then run this again"
rem Not in a Temp folder: nobody else may swap it between the look at its sha256 and its start.
set "file=%SSH%\llm-harness-tailscale.msi"
curl -fsSL --retry 3 --connect-timeout 20 -o "%file%" "%TAILSCALE_URL%" || goto :failed_now
set "doing=installing Tailscale"
set "fix=something changed it on its way, so it was not installed; see what stands between here and the internet"
set "code=its sha256 is not %TAILSCALE_SHA256%"
certutil -hashfile "%file%" SHA256 | findstr /i /l /c:"%TAILSCALE_SHA256%" >nul || (
    del /q "%file%"
    goto :failed
)
set "fix=1618: another installation runs, wait for its end; else see msiexec's exit codes"
start "" /wait msiexec /i "%file%" /qn /norestart TS_UNATTENDEDMODE=always TS_NOLAUNCH=1
set "code=%ERRORLEVEL%"
del /q "%file%"
if "%code%"=="3010" set "restart=yes"
if not "%code%"=="0" if not "%code%"=="3010" goto :failed
echo   did    installed Tailscale
goto :tailscale_installed
:tailscale_is_there
echo   is so  Tailscale is installed
:tailscale_installed
set "doing=letting Tailscale run unattended"
set "fix=see the key %POLICY% in regedit"
reg query %POLICY% /v UnattendedMode 2>nul | findstr /e /l /c:"always" >nul && goto :unattended
reg add %POLICY% /v UnattendedMode /t REG_SZ /d always /f >nul || goto :failed_now
echo   did    set the policy that lets Tailscale run unattended
:unattended
call :ask_tailnet && goto :joined
echo   ...    joining the tailnet: if an address comes now, open it in any browser
tailscale up --unattended || goto :tailscale_done
call :ask_tailnet || goto :tailscale_done
echo   did    joined the tailnet
:joined
echo   is so  this machine is %address% on the tailnet
:tailscale_done

rem -- the doors to the local network that are not needed any more (see above)
set "doing=letting the local network in on port 22"
set "fix=see that the service mpssvc (Windows Firewall) runs"
if defined lan goto :close_first
if defined address goto :close_first
call :is_active "%FIRST_DOOR%" || call :open "%FIRST_DOOR%" "LocalSubnet" "RA4=LocalSubnet" || goto :failed_now
goto :first_is_done
:close_first
set "doing=removing the firewall's rule '%FIRST_DOOR%'"
set "fix=remove it by hand in wf.msc"
call :close "%FIRST_DOOR%" || goto :failed_now
:first_is_done
set "doing=removing the firewall's rule '%LAN_DOOR%'"
set "fix=remove it by hand in wf.msc"
if defined no_lan call :close "%LAN_DOOR%" || goto :failed_now

rem -- power: on mains it never sleeps; a shutdown is a real one, after which tasks "at boot" start
set "doing=keeping the machine awake on mains"
set "fix=try it in the control panel; a policy of this machine may forbid it"
set "SLEEP=SCHEME_CURRENT 238c9fa8-0aad-41ed-83f4-97be242c8f20"
powercfg /setacvalueindex %SLEEP% 29f6c1db-86da-48c5-9fdb-f2b67b1f44da 0 >nul || goto :failed_now
powercfg /setacvalueindex %SLEEP% 9d7815a6-7ee4-497e-8888-515a05f02364 0 >nul || goto :failed_now
powercfg /setactive SCHEME_CURRENT >nul || goto :failed_now
echo   is so  on mains it never sleeps
set "doing=switching Fast Startup off"
reg query "%POWER%" /v HiberbootEnabled 2>nul | findstr /e /l /c:"0x0" >nul && goto :starts_whole
reg add "%POWER%" /v HiberbootEnabled /t REG_DWORD /d 0 /f >nul || goto :failed_now
echo   did    switched Fast Startup off
:starts_whole

rem -- what is next
set "name=%COMPUTERNAME:_=-%"
for %%c in (a b c d e f g h i j k l m n o p q r s t u v w x y z) do call set "name=%%name:%%c=%%c%%"
set "where="
if defined address set "where="ssh_hostname": "%address%", "
set "names=%name%"
if defined address set "names=%name%,%address%"
echo.
if defined restart echo   to do  restart Windows once: what was installed asks for it
if defined tailscale if not defined address (
    echo   to do  join the tailnet: tailscale up --unattended, or the line that it then asks for
    echo          then run this again: it closes port 22 to the local network, unless `lan` was said
)
echo Into inventory.py on the desk, under the group that says what it is for (apex: models and gateway; g16: client):
echo     ("%name%", {%where%"ssh_user": "%USERNAME%"})
echo and "%name%" into the list of windows machines. Into ~/.ssh/known_hosts on the desk, one line:
for /f "usebackq tokens=1,2" %%a in ("%HOST_KEY%") do echo     %names% %%a %%b
echo Then, on the desk: docs/windows.md, "The first evening", from step 2.
exit /b 0

rem -- shut FOLDER COUNT ACCESS: these entries and no other, so many of them; `loose` is set if others were there.
rem    Counted, because the names are translated: after the grant, one more is somebody else's.
:shut
takeown /f "%~1" /a >nul || exit /b 1
icacls "%~1" | findstr /l /c:":(I)" >nul && set "loose=yes"
icacls "%~1" /inheritance:r /grant:r %~3 >nul || exit /b 1
call :has_entries "%~1" %2 && exit /b 0
set "loose=yes"
icacls "%~1" /reset >nul || exit /b 1
icacls "%~1" /inheritance:r /grant:r %~3 >nul || exit /b 1
call :has_entries "%~1" %2
exit /b

rem -- has_entries FOLDER COUNT: exit 0 if its access list has so many
:has_entries
set "count=0"
for /f %%a in ('icacls "%~1" ^| findstr /l /c:":("') do set /a count+=1
if "%count%"=="%2" exit /b 0
exit /b 1

rem -- open NAME ADDRESSES KEPT: a rule of that name lets these in on port 22, unless an active one does already
:open
reg query "%RULES%" | findstr /i /l /c:"|Name=%~1|" | findstr /l /c:"|Active=TRUE|" | findstr /l /c:"|Action=Allow|" | findstr /l /c:"|LPort=22|" | findstr /l /c:"|%~3|" >nul && goto :is_open
netsh advfirewall firewall delete rule name="%~1" >nul
netsh advfirewall firewall add rule name="%~1" dir=in action=allow protocol=TCP localport=22 remoteip=%~2 >nul || exit /b 1
echo   did    let %~2 in on port 22
exit /b 0
:is_open
echo   is so  %~2 is let in on port 22
exit /b 0

rem -- is_active NAME: exit 0 if there is such a rule that counts
:is_active
reg query "%RULES%" | findstr /i /l /c:"|Name=%~1|" | findstr /l /c:"|Active=TRUE|" >nul
exit /b

rem -- close NAME: no rule of that name
:close
netsh advfirewall firewall show rule name="%~1" >nul || exit /b 0
netsh advfirewall firewall delete rule name="%~1" >nul || exit /b 1
echo   did    removed the firewall's rule '%~1'
exit /b 0

rem -- ask_tailnet: exit 0 and `address`, if this machine is on the tailnet. It keeps its address while it is stopped or
rem    logged out, and tells it then too: only `status` knows.
:ask_tailnet
set "address="
if not exist "%ProgramFiles%\Tailscale\tailscale.exe" exit /b 1
tailscale status --peers=false >nul 2>&1 || exit /b 1
for /f %%a in ('tailscale ip -4') do if not defined address set "address=%%a"
if defined address exit /b 0
exit /b 1

rem -- shipped_rule: `shipped` becomes the shown name of Windows' own rule if that is active: netsh knows no other
:shipped_rule
set "shipped="
set "rest="
for /f "tokens=2*" %%a in ('reg query "%RULES%" /v OpenSSH-Server-In-TCP 2^>nul ^| findstr /l /c:"Active=TRUE"') do set "rest=%%b"
:next_field
if not defined rest exit /b 0
set "field="
for /f "tokens=1* delims=|" %%a in ("%rest%") do (
    set "field=%%a"
    set "rest=%%b"
)
if not defined field exit /b 0
if not "%field:~0,5%"=="Name=" goto :next_field
set "shipped=%field:~5%"
exit /b 0

rem -- key_is_there: exit 0 if the desk's key is in the file
:key_is_there
for /f "usebackq tokens=1,2" %%a in ("%KEYS%") do if "%%a %%b"=="%key%" exit /b 0
exit /b 1

:not_elevated
echo bootstrap.cmd changes the system: right-click "Command Prompt", choose "Run as administrator", run it there. 1>&2
exit /b 1
:no_key
echo No public key was given: copy the desk's .pub file beside this one as desk.pub, or give its line in quotes. 1>&2
exit /b 1
:too_much
echo Not understood: bootstrap.cmd [FILE.pub or "ssh-ed25519 AAAA..."] [lan or no-lan] [no-tailscale], the key in quotes. 1>&2
exit /b 1
:folder_is_a_link
echo %COMPUTERNAME%: %SSH% is a link, which whoever made it may lead elsewhere: remove it, then run this again. 1>&2
exit /b 1
:folder_is_filled
echo %COMPUTERNAME%: %SSH% has files in it, though there is no OpenSSH server yet and any user could put them there: look through it and rename it, then run this again. 1>&2
exit /b 1
:restart_first
echo Windows wants a restart before the OpenSSH server is there: restart, then run this again. 1>&2
exit /b 1
:failed_now
set "code=exit code %ERRORLEVEL%"
:failed
echo %COMPUTERNAME%: %doing% did not work (%code%): %fix%. 1>&2
exit /b 1
